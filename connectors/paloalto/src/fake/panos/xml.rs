//! XML as the fake device reads and writes it.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// One node. Attributes and children keep their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn with_text(name: &str, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::new(name)
        }
    }

    pub(super) fn entry(name: &str) -> Self {
        Self {
            attributes: vec![("name".to_owned(), name.to_owned())],
            ..Self::new("entry")
        }
    }

    pub(super) fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// All top-level nodes of a text; `None` if it is not well formed. Lenient in nothing.
    pub(super) fn parse_all(text: &str) -> Option<Vec<Self>> {
        let mut reader = Reader::from_str(text);
        let mut stack = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => stack.push(Self::opened(&start)?),
                Event::Empty(start) => {
                    let node = Self::opened(&start)?;
                    stack.last_mut()?.children.push(node);
                }
                Event::End(_) => {
                    let mut node = stack.pop()?;
                    node.text = node.text.trim().to_owned();
                    stack.last_mut()?.children.push(node);
                }
                Event::Text(text) => stack.last_mut()?.text.push_str(&text),
                Event::CData(text) => stack.last_mut()?.text.push_str(&text),
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().ok()? {
                        Some(character) => character,
                        None => match &*reference {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            _ => return None,
                        },
                    };
                    stack.last_mut()?.text.push(character);
                }
                Event::DocType(_) => return None,
                Event::Eof => break,
                _ => {}
            }
        }
        let root = stack.pop()?;
        (stack.is_empty() && root.text.trim().is_empty()).then_some(root.children)
    }

    /// One document.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut all = Self::parse_all(text)?;
        let one = all.pop()?;
        all.is_empty().then_some(one)
    }

    fn opened(start: &BytesStart<'_>) -> Option<Self> {
        let mut node = Self::new(start.name().into_inner());
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
            node.attributes
                .push((attribute.key.into_inner().to_owned(), value.into_owned()));
        }
        Some(node)
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Down a path of names.
    pub(super) fn down(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, name| node.child(name))
    }

    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    pub(super) fn members(&self) -> Vec<&str> {
        self.all("member").map(|it| it.text.as_str()).collect()
    }

    pub(super) fn entry_named(&self, name: &str) -> Option<&Self> {
        self.children
            .iter()
            .find(|child| child.attribute("name") == Some(name))
    }

    pub(super) fn to_xml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        text.push('<');
        text.push_str(&self.name);
        for (name, value) in &self.attributes {
            text.push_str(&format!(
                " {name}=\"{}\"",
                quick_xml::escape::escape(value.as_str())
            ));
        }
        if self.text.is_empty() && self.children.is_empty() {
            text.push_str("/>");
            return;
        }
        text.push('>');
        text.push_str(&quick_xml::escape::escape(self.text.as_str()));
        for child in &self.children {
            child.write(text);
        }
        text.push_str(&format!("</{}>", self.name));
    }
}
