//! Where texts stand in a JSON document that is known to be one.

use std::ops::Range;

/// A text, and where it stands between its quotes.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) place: Range<usize>,
}

/// A JSON object: its keys, and its fields that are texts or objects.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// The key or place under which it stands.
    pub(super) name: String,
    fields: Vec<(String, Text)>,
    pub(super) keys: Vec<String>,
    /// Where among all objects they stand.
    objects: Vec<(String, usize)>,
}

impl Object {
    pub(super) fn field(&self, name: &str) -> Option<&Text> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, text)| text)
    }

    /// The object in a field, by its place among all objects.
    pub(super) fn object(&self, name: &str) -> Option<usize> {
        self.objects
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, place)| *place)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.field(name).map(|text| text.text.as_str())
    }
}

/// Every object of a document, in the order in which they begin.
pub(super) fn objects(document: &str) -> Vec<Object> {
    let mut scan = Scan {
        document,
        at: 0,
        objects: Vec::new(),
    };
    scan.value("playbook");
    scan.objects
}

struct Scan<'a> {
    document: &'a str,
    at: usize,
    objects: Vec<Object>,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<u8> {
        let bytes = self.document.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Reads one value; the text, if it is one.
    fn value(&mut self, name: &str) -> Option<Text> {
        match self.next()? {
            b'{' => self.object(name),
            b'[' => self.list(),
            b'"' => return Some(self.string()),
            _ => self.scalar(),
        }
        None
    }

    fn object(&mut self, name: &str) {
        let place = self.objects.len();
        self.objects.push(Object {
            name: name.to_owned(),
            ..Object::default()
        });
        self.at += 1;
        loop {
            match self.next() {
                Some(b'"') => {
                    let key = self.string().text;
                    self.next();
                    // The colon.
                    self.at += 1;
                    let inner = self.objects.len();
                    let is_object = self.next() == Some(b'{');
                    let text = self.value(&key);
                    let object = &mut self.objects[place];
                    object.keys.push(key.clone());
                    if is_object {
                        object.objects.push((key, inner));
                    } else if let Some(text) = text {
                        object.fields.push((key, text));
                    }
                }
                Some(b',') => self.at += 1,
                _ => break,
            }
        }
        self.at += 1;
    }

    fn list(&mut self) {
        self.at += 1;
        let mut index = 0;
        loop {
            match self.next() {
                Some(b']') | None => break,
                Some(b',') => self.at += 1,
                Some(_) => {
                    self.value(&index.to_string());
                    index += 1;
                }
            }
        }
        self.at += 1;
    }

    fn scalar(&mut self) {
        let rest = &self.document.as_bytes()[self.at..];
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",]}".contains(byte);
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn string(&mut self) -> Text {
        let start = self.at + 1;
        let bytes = self.document.as_bytes();
        let mut end = start;
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        self.at = end + 1;
        let place = start..end;
        let quoted = self.document.get(start - 1..self.at).unwrap_or_default();
        Text {
            // What is no text cannot be, the document was parsed before.
            text: serde_json::from_str(quoted).unwrap_or_default(),
            place,
        }
    }
}
