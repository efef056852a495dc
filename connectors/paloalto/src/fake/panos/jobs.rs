//! Jobs: commits and list refreshes, one at a time, on the fake's clock; and the locks.

use chrono::{DateTime, TimeDelta, Utc};

use super::xml::Node;

/// How long a job is at work, in seconds.
const WORK: i64 = 2;

/// How long firewalls are at work on a push after its job is over, in seconds.
const ELSEWHERE: i64 = 4;

/// How long a job that is listed late is not listed, in seconds.
const UNLISTED: i64 = 5;

/// Fastest that a client should ask, in seconds.
const SLOWEST_POLL: i64 = 2;

/// After so many questions a job is over, whatever the clock says.
const MOST_QUESTIONS: usize = 20;

/// What a job does at its end.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// A commit of these administrators' changes, or of all.
    Commit(Option<Vec<String>>),
    /// The fetch of a list.
    Refresh(String),
    /// A push to firewalls.
    Push(Push),
}

/// A push: the job is over before the firewalls are.
#[derive(Clone, Debug)]
pub(super) struct Push {
    /// Whose changes; `None`: everybody's.
    pub(super) administrators: Option<Vec<String>>,
    /// Serial numbers; and, once it is over there, whether it went well and what the firewall says.
    pub(super) devices: Vec<(String, Option<(bool, String)>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: u32,
    pub(super) task: Task,
    pub(super) user: String,
    enqueued: DateTime<Utc>,
    /// When it starts.
    started: DateTime<Utc>,
    /// `None`: not over. Otherwise whether it went well, and what it says.
    pub(super) over: Option<(bool, Vec<String>)>,
    asked: Option<DateTime<Utc>>,
    /// How often. A client on another clock must see an end too.
    questions: usize,
    /// Whether it is not in the list of all jobs at first.
    late: bool,
    /// How often it was left out.
    left_out: usize,
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    all: Vec<Job>,
    pub(super) next: u32,
    /// Questions that came less than two seconds after the one before.
    pub(super) fast_polls: usize,
}

impl Jobs {
    pub(super) fn enqueue(&mut self, task: Task, user: &str, now: DateTime<Utc>) -> u32 {
        self.next += 1;
        let free = self.all.iter().map(Job::ends).max().unwrap_or(now).max(now);
        self.all.push(Job {
            id: self.next,
            task,
            user: user.to_owned(),
            enqueued: now,
            started: free,
            over: None,
            asked: None,
            questions: 0,
            late: false,
            left_out: 0,
        });
        self.next
    }

    /// Leaves the last job out of the list of all for a while.
    pub(super) fn list_late(&mut self) {
        if let Some(job) = self.all.last_mut() {
            job.late = true;
        }
    }

    /// The first job whose time is up and that is not over.
    pub(super) fn due(&mut self, now: DateTime<Utc>) -> Option<&mut Job> {
        self.all.iter_mut().find(|job| {
            job.over.is_none() && (job.ends() <= now || job.questions >= MOST_QUESTIONS)
        })
    }

    /// The pushes that firewalls are done with by now.
    pub(super) fn pushes_due(&mut self, now: DateTime<Utc>) -> impl Iterator<Item = &mut Push> {
        self.all.iter_mut().filter_map(move |job| {
            let is_time =
                job.ends() + TimeDelta::seconds(ELSEWHERE) <= now || job.questions > MOST_QUESTIONS;
            match &mut job.task {
                Task::Push(push) if is_time && job.over.is_some() => push
                    .devices
                    .iter()
                    .any(|(_, over)| over.is_none())
                    .then_some(push),
                _ => None,
            }
        })
    }

    /// Forgets everything, as a restart of the management plane does.
    pub(super) fn forget(&mut self) {
        self.all.clear();
    }

    pub(super) fn show(
        &mut self,
        id: Option<&str>,
        now: DateTime<Utc>,
        times: bool,
    ) -> Result<Node, String> {
        let Some(id) = id else {
            let listed = self.all.iter_mut().filter_map(|job| {
                let is_time = now - job.enqueued >= TimeDelta::seconds(UNLISTED);
                if job.late && !is_time && job.left_out < MOST_QUESTIONS {
                    job.left_out += 1;
                    return None;
                }
                Some(job.node(now, times))
            });
            return Ok(Node::new("result").with(listed));
        };
        let number = id.parse::<u32>().ok();
        let Some(job) = self.all.iter_mut().find(|job| Some(job.id) == number) else {
            return Err(format!("job {id} not found"));
        };
        let fast = job
            .asked
            .is_some_and(|asked| now - asked < TimeDelta::seconds(SLOWEST_POLL));
        job.asked = Some(now);
        job.questions += 1;
        let node = job.node(now, times);
        self.fast_polls += usize::from(fast);
        Ok(Node::new("result").with([node]))
    }
}

impl Job {
    fn ends(&self) -> DateTime<Utc> {
        self.started + TimeDelta::seconds(WORK)
    }

    fn node(&self, now: DateTime<Utc>, times: bool) -> Node {
        let time = |at: DateTime<Utc>| at.format("%Y/%m/%d %H:%M:%S").to_string();
        let (status, result) = match &self.over {
            Some((true, _)) => ("FIN", "OK"),
            Some((false, _)) => ("FIN", "FAIL"),
            None if now < self.started => ("PEND", "PEND"),
            None => ("ACT", "PEND"),
        };
        let progress = match (&self.over, times) {
            (Some(_), true) => time(self.ends()),
            (Some(_), false) => "100".to_owned(),
            (None, _) if now < self.started => "0".to_owned(),
            (None, _) => "55".to_owned(),
        };
        let kind = match self.task {
            Task::Commit(_) => "Commit",
            Task::Refresh(_) => "EDLRefresh",
            Task::Push(_) => "CommitAll",
        };
        let lines = self.over.as_ref().map_or(&[][..], |(_, lines)| lines);
        let fields = [
            ("tenq", time(self.enqueued)),
            ("tdeq", time(self.started)),
            ("id", self.id.to_string()),
            ("user", self.user.clone()),
            ("type", kind.to_owned()),
            ("status", status.to_owned()),
            (
                "queued",
                if status == "PEND" { "YES" } else { "NO" }.to_owned(),
            ),
            ("stoppable", "no".to_owned()),
            ("result", result.to_owned()),
            (
                "tfin",
                self.over
                    .as_ref()
                    .map_or_else(|| "Still Active".to_owned(), |_| time(self.ends())),
            ),
            ("positionInQ", "0".to_owned()),
            ("progress", progress),
        ];
        Node::new("job")
            .with(
                fields
                    .into_iter()
                    .map(|(name, text)| Node::with_text(name, text)),
            )
            .with([
                Node::new("details").with(
                    lines
                        .iter()
                        .map(|line| Node::with_text("line", line.as_str())),
                ),
                Node::new("warnings"),
            ])
            .with(match &self.task {
                Task::Push(push) => Some(push.node(&time(self.started))),
                _ => None,
            })
    }
}

impl Push {
    fn node(&self, started: &str) -> Node {
        Node::new("devices").with(self.devices.iter().map(|(serial, over)| {
            let (status, result) = match over {
                None => ("commit in progress", "PEND"),
                Some((true, _)) => ("commit succeeded", "OK"),
                Some((false, _)) => ("commit failed", "FAIL"),
            };
            let line = over.as_ref().map(|(_, text)| {
                Node::new("errors").with([Node::with_text("line", text.as_str())])
            });
            let message = Node::new("msg").with(line).with([Node::new("warnings")]);
            Node::new("entry").with([
                Node::with_text("serial-no", serial.as_str()),
                Node::with_text("devicename", format!("edge-{serial}")),
                Node::with_text("status", status),
                Node::with_text("result", result),
                Node::with_text("tstart", started),
                Node::new("details").with([message]),
            ])
        }))
    }
}

/// A lock on the configuration or on commits.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    pub(super) holder: String,
    pub(super) scope: String,
    comment: String,
    since: DateTime<Utc>,
}

impl Lock {
    fn entry(&self, kind: &str) -> Node {
        Node::entry(&self.holder).with([
            Node::with_text("name", self.scope.as_str()),
            Node::with_text("type", kind),
            Node::with_text(
                "created",
                self.since.format("%Y/%m/%d %H:%M:%S").to_string(),
            ),
            Node::with_text("comment", self.comment.as_str()),
        ])
    }
}

/// The locks of one sort.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks(Vec<Lock>);

impl Locks {
    /// The lock that stands in an administrator's way.
    pub(super) fn against(&self, administrator: &str, scope: &str) -> Option<&Lock> {
        self.0.iter().find(|lock| {
            lock.holder != administrator
                && (lock.scope == scope || lock.scope == "shared" || scope == "shared")
        })
    }

    pub(super) fn held(&self, scope: &str) -> Option<&Lock> {
        self.0.iter().find(|lock| lock.scope == scope)
    }

    pub(super) fn add(&mut self, holder: &str, scope: &str, comment: &str, since: DateTime<Utc>) {
        self.0.push(Lock {
            holder: holder.to_owned(),
            scope: scope.to_owned(),
            comment: comment.to_owned(),
            since,
        });
    }

    /// Whether there was one to remove.
    pub(super) fn remove(&mut self, holder: &str, scope: &str) -> bool {
        let before = self.0.len();
        self.0
            .retain(|lock| lock.holder != holder || lock.scope != scope);
        self.0.len() < before
    }

    pub(super) fn show(&self, kind: &str) -> Node {
        Node::new("result").with([Node::new(kind).with(self.0.iter().map(|lock| lock.entry(kind)))])
    }
}
