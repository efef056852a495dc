//! Candidate and active configuration, and the paths that lead into them.

use chrono::{DateTime, Utc};

use super::schema;
use super::xml::Node;

/// One step of a path: an element, and which of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    name: String,
    which: Option<Which>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Named(String),
    Text(String),
}

impl Step {
    /// The element of this name.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            which: None,
        }
    }

    /// The entry of this name.
    pub(super) fn entry(name: &str) -> Self {
        Self {
            name: "entry".to_owned(),
            which: Some(Which::Named(name.to_owned())),
        }
    }

    fn fits(&self, node: &Node) -> bool {
        self.name == node.name
            && match &self.which {
                None => true,
                Some(Which::Named(name)) => node.attribute("name") == Some(name),
                Some(Which::Text(text)) => node.text == *text,
            }
    }

    fn make(&self) -> Node {
        match &self.which {
            Some(Which::Named(name)) => {
                let mut node = Node::entry(name);
                node.name.clone_from(&self.name);
                node
            }
            Some(Which::Text(text)) => Node::with_text(&self.name, text.as_str()),
            None => Node::new(&self.name),
        }
    }
}

/// Reads `/a/entry[@name='x']/member[text()='y']`. `None` for whatever else XPath could be.
pub(super) fn path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('/')?;
    let mut steps = Vec::new();
    loop {
        let end = rest.find(['/', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            return None;
        }
        let mut which = None;
        rest = after;
        if let Some(inside) = after.strip_prefix('[') {
            let text = inside.strip_prefix("text()=");
            let literal = text.or_else(|| inside.strip_prefix("@name="))?;
            let quote = literal.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (value, after) = literal[1..].split_once(quote)?;
            which = Some(if text.is_some() {
                Which::Text(value.to_owned())
            } else {
                Which::Named(value.to_owned())
            });
            rest = after.strip_prefix(']')?;
        }
        steps.push(Step {
            name: name.to_owned(),
            which,
        });
        if rest.is_empty() {
            return Some(steps);
        }
        rest = rest.strip_prefix('/')?;
    }
}

/// Somebody changed this object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) administrator: String,
    path: Vec<Step>,
    at: DateTime<Utc>,
    id: u64,
}

/// The configuration of one device.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) candidate: Node,
    pub(super) active: Node,
    pub(super) changes: Vec<Change>,
    next: u64,
}

/// What is answered: code, and text or result.
pub(super) type Said = Result<Node, (u16, String)>;

impl Config {
    pub(super) fn new(active: Node) -> Self {
        Self {
            candidate: active.clone(),
            active,
            changes: Vec::new(),
            next: 1,
        }
    }

    /// `get`: the candidate, with marks on what is not committed.
    pub(super) fn get(&self, path: &[Step]) -> Option<Node> {
        let mut node = find(&self.candidate, path)?.clone();
        for change in &self.changes {
            if change.path.len() >= path.len() && change.path[..path.len()] == *path {
                mark(&mut node, &change.path[path.len()..], change);
            }
        }
        Some(node)
    }

    /// `show`: the active configuration.
    pub(super) fn show(&self, path: &[Step]) -> Option<Node> {
        find(&self.active, path).cloned()
    }

    /// `set`, `edit` or `delete`. The candidate is as before where it is refused.
    pub(super) fn change(
        &mut self,
        action: &str,
        path: &[Step],
        element: &[Node],
        administrator: &str,
        now: DateTime<Utc>,
    ) -> Said {
        let mut candidate = self.candidate.clone();
        let mut touched = Vec::new();
        match action {
            "set" => {
                let place = make(&mut candidate, path).ok_or((6, "bad xpath".to_owned()))?;
                merge(place, element);
                touched = objects(path, element);
            }
            "edit" => {
                let [node] = element else {
                    return Err((
                        12,
                        "edit failed, the element must be the node itself".to_owned(),
                    ));
                };
                let last = path.last().ok_or((6, "bad xpath".to_owned()))?;
                if !last.fits(node) {
                    return Err((
                        12,
                        "edit failed, the element is not the node of the xpath".to_owned(),
                    ));
                }
                *make(&mut candidate, path).ok_or((6, "bad xpath".to_owned()))? = node.clone();
                touched.push(object(path));
            }
            "delete" => {
                if find(&candidate, path).is_none() {
                    return Err((7, "Object doesn't exist".to_owned()));
                }
                if let Some(by) = schema::referenced(&candidate, path_name(path), section(path)) {
                    return Err((
                        10,
                        format!(
                            "{} cannot be deleted because of references from: {by}",
                            path_name(path)
                        ),
                    ));
                }
                remove(&mut candidate, path);
                touched.push(object(path));
            }
            _ => return Err((17, format!("{action} is invalid"))),
        }
        schema::check(&candidate, false).map_err(|text| (12, text))?;
        self.candidate = candidate;
        for path in touched {
            self.changes
                .retain(|change| change.path != path || change.administrator != administrator);
            self.changes.push(Change {
                administrator: administrator.to_owned(),
                path,
                at: now,
                id: self.next,
            });
            self.next += 1;
        }
        Ok(Node::with_text("msg", "command succeeded"))
    }

    /// What the active configuration would be with the changes of these administrators, or of all.
    pub(super) fn committed(&self, administrators: Option<&[String]>) -> Node {
        let Some(administrators) = administrators else {
            return self.candidate.clone();
        };
        let mut active = self.active.clone();
        for change in &self.changes {
            if !administrators.contains(&change.administrator) {
                continue;
            }
            match find(&self.candidate, &change.path) {
                Some(node) => {
                    if let Some(place) = make(&mut active, &change.path) {
                        *place = node.clone();
                    }
                }
                None => remove(&mut active, &change.path),
            }
        }
        active
    }

    /// What these administrators changed, or all, and nobody took over yet.
    pub(super) fn changes_of(&self, administrators: Option<&[String]>) -> Vec<Change> {
        let is_theirs = |change: &&Change| {
            administrators.is_none_or(|names| names.contains(&change.administrator))
        };
        self.changes.iter().filter(is_theirs).cloned().collect()
    }

    /// What may be taken over next: a whole configuration, and who changed what in it since.
    pub(super) fn receive(&mut self, candidate: &Node, changes: &[Change]) {
        if !changes.is_empty() {
            self.candidate.clone_from(candidate);
            self.changes.extend_from_slice(changes);
        }
    }

    /// Takes it as active.
    pub(super) fn activate(&mut self, active: Node, administrators: Option<&[String]>) {
        self.active = active;
        match administrators {
            None => self.changes.clear(),
            Some(names) => {
                let paths: Vec<Vec<Step>> = self
                    .changes
                    .iter()
                    .filter(|change| names.contains(&change.administrator))
                    .map(|change| change.path.clone())
                    .collect();
                self.changes.retain(|change| !paths.contains(&change.path));
            }
        }
    }
}

fn find<'a>(node: &'a Node, path: &[Step]) -> Option<&'a Node> {
    let (first, rest) = path.split_first()?;
    if !first.fits(node) {
        return None;
    }
    rest.iter().try_fold(node, |node, step| {
        node.children.iter().find(|child| step.fits(child))
    })
}

/// Gives the entry at the end of a path another name.
pub(super) fn rename(root: &mut Node, path: &[Step], name: &str) {
    if let Some(entry) = make(root, path) {
        entry.attributes = vec![("name".to_owned(), name.to_owned())];
    }
}

fn make<'a>(node: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    let (first, rest) = path.split_first()?;
    if !first.fits(node) {
        return None;
    }
    let mut node = node;
    for step in rest {
        let place = match node.children.iter().position(|child| step.fits(child)) {
            Some(place) => place,
            None => {
                node.children.push(step.make());
                node.children.len() - 1
            }
        };
        node = &mut node.children[place];
    }
    Some(node)
}

fn remove(node: &mut Node, path: &[Step]) {
    let Some((last, before)) = path.split_last() else {
        return;
    };
    if find(node, before).is_some()
        && let Some(parent) = make(node, before)
    {
        parent.children.retain(|child| !last.fits(child));
    }
}

/// Adds children and overwrites leaves; takes nothing away.
fn merge(place: &mut Node, element: &[Node]) {
    for new in element {
        let same = |known: &&mut Node| {
            known.name == new.name
                && match new.name.as_str() {
                    "entry" => known.attribute("name") == new.attribute("name"),
                    "member" => known.text == new.text,
                    _ => true,
                }
        };
        // One of these stands for all: a new sort of address takes the place of the old one.
        if schema::ADDRESS_TYPES.contains(&new.name.as_str()) {
            place.children.retain(|known| {
                known.name == new.name || !schema::ADDRESS_TYPES.contains(&known.name.as_str())
            });
        }
        match place.children.iter_mut().find(same) {
            Some(known) => {
                if new.children.is_empty() {
                    known.text.clone_from(&new.text);
                }
                merge(known, &new.children);
            }
            None => place.children.push(new.clone()),
        }
    }
}

/// How many entries deep an object lies: `devices/entry/vsys/entry/address/entry`, or `shared/address/entry`.
fn depth(path: &[Step]) -> usize {
    if path.get(1).is_some_and(|step| step.name == "shared") {
        1
    } else {
        3
    }
}

/// The object that a path leads to or into.
fn object(path: &[Step]) -> Vec<Step> {
    let entries = path
        .iter()
        .enumerate()
        .filter(|(_, step)| step.name == "entry")
        .map(|(place, _)| place + 1);
    let end = entries
        .into_iter()
        .nth(depth(path) - 1)
        .unwrap_or(path.len());
    path[..end].to_vec()
}

/// The objects that a `set` touches: the one it leads into, or those that it brings.
fn objects(path: &[Step], element: &[Node]) -> Vec<Vec<Step>> {
    let entries = path.iter().filter(|step| step.name == "entry").count();
    if entries >= depth(path) {
        return vec![object(path)];
    }
    element
        .iter()
        .filter_map(|node| {
            let name = node.attribute("name")?;
            let mut path = path.to_vec();
            path.push(Step {
                name: node.name.clone(),
                which: Some(Which::Named(name.to_owned())),
            });
            Some(path)
        })
        .collect()
}

fn mark(node: &mut Node, rest: &[Step], change: &Change) {
    let mut node = node;
    for step in rest {
        let Some(child) = node.children.iter_mut().find(|child| step.fits(child)) else {
            return;
        };
        node = child;
    }
    node.attributes
        .retain(|(name, _)| !["admin", "dirtyId", "time"].contains(&name.as_str()));
    node.attributes
        .push(("admin".to_owned(), change.administrator.clone()));
    node.attributes
        .push(("dirtyId".to_owned(), change.id.to_string()));
    node.attributes.push((
        "time".to_owned(),
        change.at.format("%Y/%m/%d %H:%M:%S").to_string(),
    ));
}

fn path_name(path: &[Step]) -> &str {
    match path.last().and_then(|step| step.which.as_ref()) {
        Some(Which::Named(name)) => name,
        _ => "",
    }
}

fn section(path: &[Step]) -> &str {
    path.len()
        .checked_sub(2)
        .and_then(|place| path.get(place))
        .map_or("", |step| step.name.as_str())
}
