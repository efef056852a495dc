//! XML as PAN-OS answers it, read into a small tree, and text escaped for what is sent. Entities are the five of the
//! XML standard and character references; a document type is refused, so nothing can be expanded.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use sdk::{Error, Result};

/// Deepest nesting read. The deepest answers of the vendor stay below twenty.
const DEEPEST: usize = 64;

/// One element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its name.
    pub(crate) name: String,
    /// Its attributes.
    pub(crate) attributes: Vec<(String, String)>,
    /// Its text, without that of its children, trimmed.
    pub(crate) text: String,
    /// Its children.
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// Whatever is not one well-formed element, nests deeper than 64, or has a document type.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| malformed("it is not UTF-8").because(error))?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        let mut root: Option<Self> = None;
        loop {
            let event = reader
                .read_event()
                .map_err(|error| malformed("it is not well formed").because(error))?;
            match event {
                Event::Start(start) => {
                    if root.is_some() || open.len() >= DEEPEST {
                        return Err(malformed("it has several roots or is nested too deep"));
                    }
                    open.push(Self::start(&start)?);
                }
                Event::Empty(start) => {
                    let element = Self::start(&start)?;
                    close(element, &mut open, &mut root)?;
                }
                Event::End(_) => {
                    let Some(mut element) = open.pop() else {
                        return Err(malformed("an element ends that did not start"));
                    };
                    element.text = element.text.trim().to_owned();
                    close(element, &mut open, &mut root)?;
                }
                Event::Text(text) => append(&mut open, &text.xml10_content())?,
                Event::CData(text) => append(&mut open, &text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref() {
                        Ok(Some(character)) => character,
                        Ok(None) => match &*reference.xml10_content() {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            _ => return Err(malformed("it has an entity of its own")),
                        },
                        Err(error) => {
                            return Err(malformed("a character reference").because(error));
                        }
                    };
                    append(&mut open, character.encode_utf8(&mut [0; 4]))?;
                }
                Event::DocType(_) => return Err(malformed("it has a document type")),
                Event::Eof => break,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
        match root {
            Some(root) if open.is_empty() => Ok(root),
            _ => Err(malformed("it ends early")),
        }
    }

    fn start(start: &BytesStart<'_>) -> Result<Self> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| malformed("an attribute").because(error))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| malformed("an attribute's value").because(error))?;
            attributes.push((attribute.key.into_inner().to_owned(), value.into_owned()));
        }
        Ok(Self {
            name: start.name().into_inner().to_owned(),
            attributes,
            ..Self::default()
        })
    }

    /// An attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The element at the end of a path of names below this one.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |element, name| element.child(name))
    }

    /// The text at the end of a path, if there is any.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)
            .map(|element| element.text.as_str())
            .filter(|text| !text.is_empty())
    }

    /// The texts of the children called `member`.
    pub(crate) fn members(&self) -> impl Iterator<Item = &str> {
        self.all("member").map(|member| member.text.as_str())
    }
}

fn append(open: &mut [Element], text: &str) -> Result<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(malformed("there is text outside of it")),
    }
    Ok(())
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<()> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err(malformed("it has several roots")),
    }
    Ok(())
}

fn malformed(what: &str) -> Error {
    Error::protocol(format!("the answer is no XML that we read: {what}"))
}

/// Text for an element or an attribute. What XML cannot carry at all is left out.
pub(crate) fn escape(text: &str) -> String {
    let allowed: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect();
    quick_xml::escape::escape(allowed).into_owned()
}

/// A name as a string literal of XPath, which has no escapes: in the quotes that it does not hold. `None` if it holds
/// both.
pub(crate) fn literal(name: &str) -> Option<String> {
    match (name.contains('\''), name.contains('"')) {
        (false, _) => Some(format!("'{name}'")),
        (true, false) => Some(format!("\"{name}\"")),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Element> {
        Element::parse(text.as_bytes())
    }

    #[test]
    fn the_refusal_of_a_key_is_read_with_its_blanks_and_quotes() {
        let root = parse(
            "<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>",
        )
        .unwrap();
        assert_eq!(root.attribute("status"), Some("error"));
        assert_eq!(root.attribute("code"), Some("403"));
        assert_eq!(root.text_at(&["result", "msg"]), Some("Invalid Credential"));
    }

    #[test]
    fn references_are_resolved_and_nothing_is_expanded() {
        let root = parse("<a b='&lt;&#65;'>x &amp; y<![CDATA[<z>]]></a>").unwrap();
        assert_eq!(root.attribute("b"), Some("<A"));
        assert_eq!(root.text, "x & y<z>");
        for bad in [
            "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
            "<a>&e;</a>",
            "<a b='&e;'/>",
            "<a><b></a>",
            "<a/><b/>",
            "<a>",
            "text",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let deep = "<a>".repeat(65) + &"</a>".repeat(65);
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let text = "a<b>&\"c'\u{1}é]]>";
        let document = format!("<a b=\"{0}\">{0}</a>", escape(text));
        let root = parse(&document).unwrap();
        assert_eq!(root.text, "a<b>&\"c'é]]>");
        assert_eq!(root.attribute("b"), Some("a<b>&\"c'é]]>"));
    }

    #[test]
    fn a_literal_takes_the_other_quotes() {
        assert_eq!(literal("web").unwrap(), "'web'");
        assert_eq!(literal("it's").unwrap(), "\"it's\"");
        assert_eq!(literal("'\""), None);
    }
}
