//! Members of an address group under a playbook's name. Members are added one by one, which leaves those of
//! others alone whoever else is writing; none is ever taken out.

use schemars::JsonSchema;
use sdk::action::{Call, Outcome};
use sdk::ownership::container_mark;
use sdk::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, json};

use super::{Common, Done, Run, checked_name, settled};
use crate::api::{self, GroupRow, Page};
use crate::target::{Connection, Family};

/// A group and what goes into it.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Group {
    /// The group's name
    name: String,
    /// Names of objects or groups that go into it
    member: Vec<String>,
    #[serde(flatten)]
    common: Common,
}

/// A group that is there.
struct Found {
    family: Family,
    members: Vec<String>,
}

pub(super) async fn add(mut call: Call<'_>) -> Result<Outcome> {
    let own: Group = serde_json::from_value(call.arguments.take())
        .map_err(|error| Error::input("the arguments are not as they should be").because(error))?;
    let name = checked_name("name", &own.name)?;
    let mut members: Vec<String> = Vec::new();
    for member in &own.member {
        let member = checked_name("member", member)?;
        if member == name {
            return Err(Error::input("a group cannot be its own member"));
        }
        if !members.contains(&member) {
            members.push(member);
        }
    }
    if members.is_empty() {
        return Err(Error::input("member names no object"));
    }
    let mut run = Run::new(&mut call, &own.common)?;
    let mark = container_mark(run.installation(), &run.owner()?, &name);
    let firewalls = std::mem::take(&mut run.firewalls);
    for firewall in &firewalls {
        let mut done = Vec::new();
        let result = match run.is_dry(firewall).await {
            Ok(dry) => {
                let work = fill(&firewall.connection, &name, &members, &mark, dry, &mut done);
                run.alone(firewall, work).await
            }
            Err(error) => Err(error),
        };
        for (member, done) in &done {
            run.note(&firewall.device, member, None, done);
        }
        run.device(firewall.device.clone(), result);
    }
    run.firewalls = firewalls;
    let mut named = Map::new();
    named.insert("name".to_owned(), json!(name));
    named.insert("objects".to_owned(), json!(members));
    Ok(run.finish(named))
}

/// Brings one firewall's group to have the members.
async fn fill(
    firewall: &Connection,
    name: &str,
    members: &[String],
    mark: &str,
    dry: bool,
    done: &mut Vec<(String, Done)>,
) -> Result<()> {
    let group = find(firewall, name).await?;
    let Some(group) = group else {
        let family = family_of(firewall, members).await?;
        if !dry {
            let request = api::create_named_group(&firewall.vdom, family, name, members, mark);
            let verdict = firewall.write(request, "the address group").await;
            if !settled(verdict)? {
                // Another run made it, or the answer was lost.
                let Some(group) = find(firewall, name).await? else {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "the firewall did not take the group",
                    )
                    .with("name", name));
                };
                return join(firewall, name, &group, members, dry, done).await;
            }
        }
        done.extend(members.iter().map(|member| (member.clone(), Done::Added)));
        return Ok(());
    };
    join(firewall, name, &group, members, dry, done).await
}

async fn join(
    firewall: &Connection,
    name: &str,
    group: &Found,
    members: &[String],
    dry: bool,
    done: &mut Vec<(String, Done)>,
) -> Result<()> {
    for member in members {
        if group.members.contains(member) {
            done.push((member.clone(), Done::Unchanged));
            continue;
        }
        if !dry {
            let request = api::join_group(&firewall.vdom, group.family, name, member);
            let verdict = firewall.write(request, "the group's new member").await;
            let joined = settled(verdict).map_err(|error| error.with("member", member))?;
            if !joined && !is_member(firewall, group.family, name, member).await? {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "the firewall did not take the member",
                )
                .with("member", member));
            }
        }
        done.push((member.clone(), Done::Added));
    }
    Ok(())
}

async fn is_member(
    firewall: &Connection,
    family: Family,
    group: &str,
    member: &str,
) -> Result<bool> {
    let request = api::membership(&firewall.vdom, family, group, member);
    exists(firewall, request).await
}

/// The group, of whichever family. Only an answer that says so means that there is none.
async fn find(firewall: &Connection, name: &str) -> Result<Option<Found>> {
    for family in [Family::Ipv4, Family::Ipv6] {
        let response = firewall
            .send(api::group(&firewall.vdom, family, name))
            .await?;
        if response.status.as_u16() == 404 {
            continue;
        }
        let page: Page<Vec<GroupRow>> = Page::read(&response, "address group")?;
        if let Some(row) = page.results.into_iter().next() {
            return Ok(Some(Found {
                family,
                members: row.member.into_iter().map(|member| member.name).collect(),
            }));
        }
    }
    Ok(None)
}

/// The family of a group that is to have these members, which have to be there.
async fn family_of(firewall: &Connection, members: &[String]) -> Result<Family> {
    let mut families = Vec::new();
    for member in members {
        let mut found = None;
        for family in [Family::Ipv4, Family::Ipv6] {
            let object = api::address(&firewall.vdom, family, member);
            let group = api::group(&firewall.vdom, family, member);
            if exists(firewall, object).await? || exists(firewall, group).await? {
                found = Some(family);
                break;
            }
        }
        families.push(found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "there is no object or group of this name",
            )
            .with("member", member)
            .hint("make it first, with fortigate_add_ip_address or fortigate_add_fqdn")
        })?);
    }
    match families.first() {
        Some(first) if families.iter().all(|family| family == first) => Ok(*first),
        _ => Err(Error::input(
            "a group has IPv4 objects and names, or IPv6 objects, not both",
        )),
    }
}

async fn exists(firewall: &Connection, request: sdk::http::Request) -> Result<bool> {
    let response = firewall.send(request).await?;
    if response.status.as_u16() == 404 {
        return Ok(false);
    }
    let page: Page<Vec<serde::de::IgnoredAny>> = Page::read(&response, "object")?;
    Ok(!page.results.is_empty())
}
