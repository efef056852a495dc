//! What a manager knows of its ADOM and of the firewalls in it, and what a name that it does not know means.

use sdk::http::Safety;
use sdk::{Error, ErrorKind, Result};
use serde_json::Value as Json;

use super::{Counter, Manager};
use crate::api::manager::{self as api, Device, Part};

/// The questions that tell whether the ADOM and its firewalls exist.
pub(crate) fn questions(adom: &str, devices: &[(&str, &str)]) -> Vec<Json> {
    let devices = devices.iter().map(|(name, _)| api::device(adom, name));
    std::iter::once(api::adom(adom)).chain(devices).collect()
}

/// Whether the answer says that there is no such thing. Which of the two codes it has for that is not documented.
fn is_unknown(part: &Part) -> bool {
    matches!(part.status.code, api::MISSING | api::BAD_URL)
}

impl Manager {
    /// Reads the answers to [`questions`]. What certainly is not there is a mistake in the configuration; what
    /// the manager does not tell this user is `None`.
    pub(crate) fn devices(
        &self,
        parts: &[Part],
        devices: &[(&str, &str)],
    ) -> Result<Vec<Option<Device>>> {
        let Some((adom, parts)) = parts.split_first() else {
            return Err(Error::protocol("FortiManager: no answer about the ADOM"));
        };
        if is_unknown(adom) {
            return Err(self
                .unknown(format!("the FortiManager has no ADOM {:?}", self.adom), adom)
                .hint("set `fortimanager.adom` to the ADOM that holds the firewalls; its name counts by letter"));
        }
        let mut known = Vec::new();
        for ((name, vdom), part) in devices.iter().zip(parts) {
            if is_unknown(part) {
                let message = format!("the ADOM {:?} has no firewall {name:?}", self.adom);
                return Err(self.unknown(message, part).hint(
                    "name the firewalls in `fortimanager.devices` as the device manager of that ADOM does",
                ));
            }
            // One row comes alone, or in an array.
            let row = part.data.get(0).unwrap_or(&part.data);
            let device = (part.status.code == 0)
                .then(|| serde_json::from_value::<Device>(row.clone()).ok())
                .flatten();
            let vdoms = device.as_ref().map(Device::vdoms).unwrap_or_default();
            if !vdoms.is_empty() && !vdoms.contains(vdom) {
                let message = format!("the firewall {name:?} has no VDOM {vdom:?}");
                let hint = format!("its VDOMs are {}", vdoms.join(", "));
                return Err(self.unknown(message, part).hint(hint));
            }
            known.push(device);
        }
        Ok(known)
    }

    fn unknown(&self, message: String, part: &Part) -> Error {
        let error = Error::config(message).with("FortiManager", &self.host);
        match part.status.code {
            0 => error,
            _ => error.with("answer", &part.status),
        }
    }

    /// Why a firewall cannot be asked through the manager: a name that it does not know, or else what went wrong.
    pub(crate) async fn explained(
        &self,
        counter: &Counter,
        device: &str,
        vdom: &str,
        error: Error,
    ) -> Error {
        if matches!(error.kind(), ErrorKind::Auth | ErrorKind::RateLimited) {
            return error;
        }
        let place = [(device, vdom)];
        let asked = questions(&self.adom, &place);
        let Ok(parts) = self.call(counter, "get", &asked, Safety::Read).await else {
            return error;
        };
        match self.devices(&parts, &place) {
            Err(unknown) if unknown.kind() == ErrorKind::Config => unknown,
            Ok(known) => {
                let told = known.into_iter().flatten().next();
                match told.as_ref().and_then(|device| device.conn_status.as_str()) {
                    Some(words) => error.with("connection", words),
                    None => error,
                }
            }
            Err(_) => error,
        }
    }
}
