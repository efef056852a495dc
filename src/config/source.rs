//! Collections of the file: where each is read from.

use std::path::Path;

use sdk::collection::sekoia::{Access, BASE_URL, Collection, CollectionId};
use sdk::collection::{Location, Source, SourceKind};

use super::endpoint;
use super::file::{self, SekoiaFormat};
use super::problem::Problem;
use super::resolve::from_error;
use super::tree::join;

/// What a collection of the file is read from; `None` where a problem says why not.
pub(super) fn source(
    name: &str,
    collection: &file::Collection,
    path: &str,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Source> {
    if let Some(id) = &collection.sekoia {
        return sekoia(name, collection, id, path, problems);
    }
    for (key, given) in [
        ("base_url", collection.base_url.is_some()),
        ("api_key", collection.api_key.is_some()),
        ("format", collection.format.is_some()),
    ] {
        if given {
            problems.push(Problem::new(
                join(path, key),
                "is for collections with `sekoia` only",
            ));
        }
    }
    let named: Vec<(SourceKind, &str, &String)> = [
        (SourceKind::Stix, "stix", &collection.stix),
        (SourceKind::List, "list", &collection.list),
        (
            SourceKind::Warninglist,
            "warninglist",
            &collection.warninglist,
        ),
    ]
    .into_iter()
    .filter_map(|(kind, key, place)| Some((kind, key, place.as_ref()?)))
    .collect();
    let [(kind, key, place)] = named[..] else {
        problems.push(
            Problem::new(
                path,
                "needs exactly one of `stix`, `list`, `warninglist` and `sekoia`",
            )
            .hint("write for instance list = \"allow.txt\""),
        );
        return None;
    };
    let path = join(path, key);
    let location = match place.split_once("://") {
        Some(("https", _)) => Location::Url(place.clone()),
        Some(("http", _)) if endpoint::is_loopback(place) => Location::Url(place.clone()),
        Some(("http", _)) => {
            problems.push(
                Problem::new(path, "plain http is refused")
                    .hint("use https; http is taken on loopback only"),
            );
            return None;
        }
        Some((scheme, _)) => {
            problems.push(
                Problem::new(path, format!("{scheme}:// is not supported"))
                    .hint("use https, or the path of a file"),
            );
            return None;
        }
        None if place.is_empty() => {
            problems.push(Problem::new(path, "must not be empty"));
            return None;
        }
        None => Location::File(base.join(place)),
    };
    Some(Source {
        name: name.to_owned(),
        kind,
        location,
    })
}

fn sekoia(
    name: &str,
    collection: &file::Collection,
    id: &str,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<Source> {
    let others = [&collection.stix, &collection.list, &collection.warninglist];
    if others.iter().any(|other| other.is_some()) {
        problems.push(Problem::new(
            path,
            "needs exactly one of `stix`, `list`, `warninglist` and `sekoia`",
        ));
    }
    let id = CollectionId::parse(id)
        .map_err(|error| problems.push(from_error(&join(path, "sekoia"), &error)));
    let base_url = collection.base_url.as_deref().unwrap_or(BASE_URL);
    let is_usable = match base_url.trim().split_once("://") {
        Some(("https", _)) => true,
        Some(("http", _)) => endpoint::is_loopback(base_url.trim()),
        _ => false,
    };
    if !is_usable || url::Url::parse(base_url.trim()).is_err() {
        problems.push(
            Problem::new(join(path, "base_url"), "is not an https URL").hint(
                "for instance https://app.fra2.sekoia.io; plain http is taken on loopback only",
            ),
        );
    }
    let Some(api_key) = &collection.api_key else {
        problems.push(
            Problem::missing(path, "api_key").hint("write api_key = { env = \"SEKOIA_API_KEY\" }"),
        );
        return None;
    };
    Some(Source {
        name: name.to_owned(),
        kind: match collection.format.unwrap_or_default() {
            SekoiaFormat::Stix => SourceKind::Stix,
            SekoiaFormat::Text => SourceKind::List,
        },
        location: Location::Sekoia(Box::new(Collection {
            id: id.ok()?,
            access: Access::new(base_url, api_key.clone()),
        })),
    })
}
