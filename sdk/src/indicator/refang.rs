//! Defanged text, and values whose kind only their text tells.

use std::borrow::Cow;

use super::{Kind, Value, ValueError};

/// What stands for a character in defanged text. Upper case is tried too.
const TOKENS: [(&str, &str); 13] = [
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[://]", "://"),
    ("[:]", ":"),
    ("(:)", ":"),
    ("[/]", "/"),
    ("[@]", "@"),
    ("[at]", "@"),
    ("(at)", "@"),
];

/// Endings of files that no top-level domain has, so that a name with one is a file.
pub(super) const FILE_ENDINGS: [&str; 55] = [
    "7z", "ace", "aspx", "bat", "bin", "bmp", "cmd", "conf", "cpl", "csv", "dat", "dll", "doc",
    "docm", "docx", "dotm", "exe", "gif", "gz", "hta", "htm", "html", "ini", "iso", "jar", "jpeg",
    "jpg", "js", "json", "jse", "jsp", "lnk", "log", "msi", "ocx", "pdf", "php", "png", "ppt",
    "pptm", "pptx", "ps1", "psm1", "rar", "rtf", "scr", "sys", "tar", "tmp", "txt", "vbe", "vbs",
    "xls", "xlsm", "xlsx",
];

/// Undoes the usual defanging: `1.2.3[.]4`, `hxxp://`, `[dot]`, `(.)`, `[:]`, `[@]`.
pub fn refang(text: &str) -> Cow<'_, str> {
    let scheme = defanged_scheme(text);
    if scheme.is_none() && !text.contains(['[', '(', '{']) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    if let Some((scheme, length)) = scheme {
        plain.push_str(scheme);
        rest = &text[length..];
    }
    while let Some(at) = rest.find(['[', '(', '{']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let token = TOKENS.iter().find(|(token, _)| {
            rest.as_bytes()
                .get(..token.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(token.as_bytes()))
        });
        let (text, length) = token.map_or((&rest[..1], 1), |(token, text)| (*text, token.len()));
        plain.push_str(text);
        rest = &rest[length..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// `hxxp`, `hXXps`, `h**p`, `htxp`, `fxp` before a colon: the scheme meant, and the length of the text.
fn defanged_scheme(text: &str) -> Option<(&'static str, usize)> {
    let end = text.find([':', '['])?;
    let scheme = &text.as_bytes()[..end];
    let colon = text[end..].starts_with(':') || text[end..].starts_with("[:");
    let hidden = |byte: &u8| matches!(byte, b'x' | b'X' | b'*' | b't' | b'T');
    let (meant, spelt) = match scheme {
        [b'h' | b'H', a, b, b'p' | b'P'] if hidden(a) && hidden(b) => ("http", "http"),
        [b'h' | b'H', a, b, b'p' | b'P', b's' | b'S'] if hidden(a) && hidden(b) => {
            ("https", "https")
        }
        [b'f' | b'F', b'x' | b'X' | b'*', b'p' | b'P'] => ("ftp", "ftp"),
        _ => return None,
    };
    // A scheme that is not defanged is left to its spelling: the original is kept.
    (colon && !text[..end].eq_ignore_ascii_case(spelt)).then_some((meant, end))
}

/// Takes a port off an address or name: `1.2.3.4:80`, `example.com:443`, `[2001:db8::1]:443`. Brackets
/// without a port go too. What has no port is returned as it is: URLs and IPv6 addresses are left alone.
pub fn split_port(text: &str) -> (&str, Option<u16>) {
    if let Some(inner) = text.strip_prefix('[') {
        return match inner.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, rest)) => match rest.strip_prefix(':').and_then(port) {
                Some(port) => (address, Some(port)),
                None => (text, None),
            },
            None => (text, None),
        };
    }
    match text.split_once(':') {
        Some((host, digits)) if !host.is_empty() => match port(digits) {
            Some(port) => (host, Some(port)),
            None => (text, None),
        },
        _ => (text, None),
    }
}

fn port(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// See [`Value::detect`].
pub(super) fn detect(text: &str) -> Result<Value, ValueError> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.contains(&b'.')
        && bytes
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'/'))
    {
        return Value::parse(Kind::Ipv4, text);
    }
    if text.contains("://") {
        return Value::parse(Kind::Url, text);
    }
    if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_hexdigit) {
        match bytes.len() {
            32 => return Value::parse(Kind::Md5, text),
            40 => return Value::parse(Kind::Sha1, text),
            64 => return Value::parse(Kind::Sha256, text),
            56 => return Err(ValueError::Unsupported("SHA-224")),
            96 => return Err(ValueError::Unsupported("SHA-384")),
            128 => return Err(ValueError::Unsupported("SHA-512")),
            _ => return Err(ValueError::Unrecognised),
        }
    }
    if bytes.iter().filter(|byte| **byte == b':').count() >= 2 {
        return detect_with_colons(text);
    }
    if let Some((user, host)) = text.rsplit_once('@') {
        return Err(match super::Domain::parse(host) {
            Ok(_) if !user.is_empty() => ValueError::Unsupported("e-mail address"),
            _ => ValueError::Unrecognised,
        });
    }
    if text.contains('\\') {
        return Err(ValueError::Unsupported(if text.starts_with("HK") {
            "registry key"
        } else {
            "file path"
        }));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Err(match super::Domain::parse(split_port(host).0) {
            Ok(name) if name.as_str().contains('.') => {
                ValueError::Unsupported("URL without a scheme")
            }
            _ if host.is_empty() => ValueError::Unsupported("file path"),
            _ => ValueError::Unrecognised,
        });
    }
    if is_file_name(text) {
        return Err(ValueError::Unsupported("file name"));
    }
    let domain = super::Domain::parse(text);
    match domain {
        Ok(domain) if domain.as_str().contains('.') => Ok(Value::Domain(domain)),
        Err(error) if text.contains('.') && !text.contains(char::is_whitespace) => Err(error),
        _ => Err(ValueError::Unrecognised),
    }
}

fn detect_with_colons(text: &str) -> Result<Value, ValueError> {
    let value = Value::parse(Kind::Ipv6, text);
    let pair = |group: &str| group.len() == 2 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value {
        Err(_) if text.split(':').count() == 6 && text.split(':').all(pair) => {
            Err(ValueError::Unsupported("MAC address"))
        }
        Err(error) => {
            let address = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'/');
            // Something else with colons is not a failed address.
            if text.contains('%') || text.bytes().all(address) {
                Err(error)
            } else {
                Err(ValueError::Unrecognised)
            }
        }
        value => value,
    }
}

/// `INV_9504.doc`, `DOC 0125084.zip`.
fn is_file_name(text: &str) -> bool {
    let Some((stem, ending)) = text.rsplit_once('.') else {
        return false;
    };
    if stem.is_empty() || ending.is_empty() || ending.len() > 5 {
        return false;
    }
    let spaced = stem.contains(char::is_whitespace);
    let ending_like_a_file = ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let known = FILE_ENDINGS
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known));
    known || (spaced && ending_like_a_file)
}
