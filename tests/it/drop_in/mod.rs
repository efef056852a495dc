//! Actions under the names that other playbooks use, with the arguments that those give: through the runtime
//! of Sekoia's playbooks, against the fake vendors. Where the module that had the name first did harm, the
//! test's name says what is gone.

mod crowdstrike;
mod fortinet;
mod paloalto;
mod rewrite;
mod sentinelone;
mod stage;
mod zscaler;
