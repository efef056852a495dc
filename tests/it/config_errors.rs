use crate::support::{run, write};

fn errors(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "cordon.toml", text);
    let ran = run(directory.path(), &["plan"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.stdout, "");
    ran.stderr
}

#[test]
fn every_mistake_is_told_at_once() {
    insta::assert_snapshot!(errors(
        r#"
instalation = "main"
[store]
url = "postgres://cordon:hunter2@db/cordon"
[collections.c2]
stix = "c2.json"
list = "c2.txt"
[collections.partners]
list = "http://example.com/allow.txt"
[targets.falcon]
connector = "crowdstrik"
[targets.edge]
connector = "crowdstrike"
client_id = { env = "NOT_SET" }
client_secret = "hunter2"
base_ulr = "https://api.crowdstrike.com"
[deployments.Acme]
include = ["c3", "partners"]
exclude = "partners"
targets = ["falcn"]
schedule = "every day"
default_validity = { ipv4 = "30", domian = "5d" }
[webhook]
url = "http://example.com/hook"
on = ["hold"]
"#
    ));
}

#[test]
fn references_names_and_lengths_are_checked() {
    insta::assert_snapshot!(errors(
        r#"
installation = "Main Office"
[collections.c2]
list = "c2.txt"
[targets.falcon]
connector = "crowdstrike"
client_id = "id"
client_secret = { file = "missing.txt" }
[deployments.acme]
include = ["c3", "c2", "c2"]
targets = ["falcn"]
schedule = "every day"
default_validity = { ipv4 = "30" }
special_purpose = false
formerly = ["old", "beta", "NOT GOOD"]
[deployments.beta]
include = ["c2"]
targets = ["falcon"]
special_purpose = false
[deployments.beta.guard]
removals_share = 3
[webhook]
url = "http://example.com/hook"
"#
    ));
}

#[test]
fn a_wrong_shape_hides_no_other_mistake() {
    insta::assert_snapshot!(errors(
        r#"
installation = 5
[store]
file = "cordon.db"
[collections]
c2 = "c2.txt"
[collections.partners]
list = 5
[collections.feeds]
lst = "feeds.txt"
[targets.edge]
connector = 7
[targets.falcon]
connector = "crowdstrike"
client_id = 5
client_secret = "hunter2"
base_ulr = "https://api.crowdstrike.com"
[targets.other]
connector = "crowdstrik"
[deployments.acme]
include = ["c2", 5, "c3"]
exclude = "partners"
targets = ["edge", "falcon", "falcn"]
schedule = "every day"
default_validity = { ipv4 = "30", domian = "5d" }
adopt = "yes"
[deployments.beta]
protect = ["partners", "nothing"]
targets = "falcon"
[webhook]
url = 5
"#
    ));
    insta::assert_snapshot!(errors(
        r#"
[[targets]]
connector = "crowdstrike"
[collections.c2]
list = "c2.txt"
tenant = 5
[deployments.acme]
tenant = "acme"
include = ["c2", "c3"]
targets = ["falcon"]
"#
    ));
}

#[test]
fn tenants_keep_to_themselves() {
    insta::assert_snapshot!(errors(
        r#"
[collections.ours]
list = "a.txt"
tenant = "acme"
[collections.shared]
list = "b.txt"
tenant = "*"
[collections.nobodys]
list = "c.txt"
[targets.falcon]
connector = "crowdstrike"
tenant = "beta"
client_id = "id"
client_secret = { file = "cordon.toml" }
[deployments.acme]
tenant = "acme"
include = ["ours", "shared"]
targets = ["falcon"]
[deployments.everybody]
tenant = "*"
include = ["ours"]
targets = ["falcon"]
"#
    ));
}

#[test]
fn broken_toml_names_the_line() {
    insta::assert_snapshot!(errors("[store]\nurl = \"sqlite:a.db\n[targets"));
}
