"""Reads the generated files with other people's programs. Arguments: the folder, the program."""

import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path

import hera.workflows.models as argo
import jinja2
import yaml
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator
from PIL import Image
from sekoia_automation.scripts.documentation.generate import DocumentationGenerator
from sekoia_automation.scripts.sync_library import SyncLibrary

manifests, program = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
scratch = Path(tempfile.mkdtemp())
modules = sorted(path.parent for path in manifests.glob("*/manifest.json"))
catalog = json.loads((manifests / "catalog.json").read_text())
known = {
    connector["name"]: {action["command"]: action for action in connector["actions"]}
    for connector in catalog["connectors"]
}


def expect(holds, *what):
    if not holds:
        sys.exit(" ".join(str(part) for part in what))


def read_yaml(path):
    value = yaml.safe_load(path.read_text())
    expect(isinstance(value, dict), path, "is no object")
    return value


def is_json_form(path):
    text = path.read_bytes().decode("ascii")
    expect(text == json.dumps(json.loads(text), indent=2), path, "is not in the linter's form")


def check_schema(what, schema):
    for validator in (Draft7Validator, Draft202012Validator):
        validator.check_schema(schema)
    for name, field in schema.get("properties", {}).items():
        if "default" in field:
            Draft7Validator(field).validate(field["default"])


def calls(what, words, environment=None, script=None):
    """Runs the program without a configuration: it has to miss that, and nothing else."""
    ran = subprocess.run(
        [script or program, *words],
        env={"PATH": f"{program.parent}:{os.environ['PATH']}", **(environment or {})},
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    expect(ran.returncode == 3, what, words, "ended with", ran.returncode, ran.stdout, ran.stderr)


# Values where not everything will do, or where one of several has to be given.
SAMPLES = {"fqdn": "c2.example.org", "name": "c2", "IoC": "8.8.8.8"}


def sample(argument):
    """A value for an argument that has to be given."""
    if argument.get("description", "").endswith("(as JSON)"):
        return json.dumps([{"type": "indicator"}])
    if "enum" in argument:
        return argument["enum"][0]
    items = argument.get("items", {})
    if argument.get("type") == "array":
        return ["8.8.8.8"] if items.get("type") == "string" else [{"type": "indicator"}]
    return {"integer": 7, "boolean": True, "object": {}}.get(argument.get("type"), "8.8.8.8")


# Sekoia: schemas, form, picture, and the tests that a module carries.
for module in modules:
    manifest = json.loads((module / "manifest.json").read_text())
    check_schema(module.name, manifest["configuration"])
    is_json_form(module / "manifest.json")
    for path in module.glob("action_*.json"):
        is_json_form(path)
        action = json.loads(path.read_text())
        check_schema(path.name, action["arguments"])
        check_schema(path.name, action["results"])
    picture = Image.open(module / "logo.png")
    picture.load()
    expect(picture.format == "PNG" and picture.width == picture.height, module.name, "logo")
    expect(picture.mode == "RGBA" and picture.getextrema()[3] == (0, 255), module.name, "logo")
    copy = scratch / "modules" / module.name
    shutil.copytree(module, copy)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", str(copy)]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    expect(ran.returncode == 0, module.name, ran.stdout, ran.stderr)
    ran = subprocess.run([sys.executable, "-m", "black", "--check", "-q", str(copy)])
    expect(ran.returncode == 0, module.name, "is not formatted as Black does")

# Sekoia's own tool publishes them.
published = []


class Platform(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(404, b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        published.append((self.path.rsplit("/", 1)[-1], json.loads(body)))
        self.answer(200, b"{}")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Platform)
threading.Thread(target=server.serve_forever, daemon=True).start()
SyncLibrary(
    playbook_url=f"http://127.0.0.1:{server.server_port}",
    api_key="key",
    modules_path=scratch / "modules",
).execute()
server.shutdown()
of_kind = {kind: [body for name, body in published if name == kind] for kind in ("modules", "actions")}
expect(len(of_kind["modules"]) == len(modules), "modules:", len(of_kind["modules"]))
expect(
    len(of_kind["actions"]) == sum(len(actions) for actions in known.values()),
    "actions:",
    len(of_kind["actions"]),
)
for module in of_kind["modules"]:
    uuid.UUID(module["uuid"])
    expect(module["image"].startswith("data:image/svg+xml;base64,"), module["name"])
    expect(module["changelog"].startswith("# Changelog"), module["name"])
    expect(module["docker"].endswith(f"-{module['slug']}:{module['version']}"), module["docker"])
owners = {module["uuid"] for module in of_kind["modules"]}
expect(all(action["module_uuid"] in owners for action in of_kind["actions"]), "an action of no module")

# And writes their pages.
pages = scratch / "documentation"
for folder in ("_shared_content/automate/library", "docs/assets/playbooks/library"):
    (pages / folder).mkdir(parents=True)
(pages / "mkdocs.yml").write_text("nav: []\n")
DocumentationGenerator(scratch / "modules", pages).generate()
for module in modules:
    manifest = json.loads((module / "manifest.json").read_text())
    texts = [page.read_text() for page in (pages / "_shared_content/automate/library").glob("*.md")]
    page = next(text for text in texts if manifest["uuid"] in text)
    for action in known[module.name].values():
        expect(f"### {action['name']}" in page, module.name, action["command"], "has no page")

# Cortex: what its reader needs, and flat items.
responders = json.loads((manifests / "cortex/responders.json").read_text())
identities = [f"{it['name']}_{it['version']}".replace(".", "_") for it in responders]
expect(responders and len(set(identities)) == len(identities), "responders share an id")
for responder in responders:
    for name in ("name", "version", "description", "author", "url", "license", "dockerImage", "baseConfig"):
        expect(isinstance(responder[name], str), responder["name"], name)
    config = responder["config"]
    expect(config["service"] in known[config["connector"]], config)
    for item in responder["configurationItems"]:
        expect(item["type"] in ("text", "string", "number", "boolean"), item)
        expect(isinstance(item["multi"], bool) and isinstance(item["required"], bool), item)
        default = item.get("defaultValue")
        if default is not None:
            expect(isinstance(default, list) == item["multi"], item)

# StackStorm: names, its dialect of draft 4, and its way with templates and command lines.
pack = read_yaml(manifests / "stackstorm/pack.yaml")
expect(re.fullmatch(r"[a-z0-9_]+", pack["ref"]), pack["ref"])
expect(re.fullmatch(r"\d+\.\d+\.\d+", pack["version"]), pack["version"])
expect(pack["name"] and pack["description"] and pack["author"], pack)
WORDS = {
    "description", "type", "default", "enum", "minimum", "maximum", "minLength", "maxLength", "items", "properties",
    "additionalProperties", "anyOf", "required", "secret", "immutable", "position",
}


def check_draft4(path, schema):
    expect(set(schema) <= WORDS, path, "has", set(schema) - WORDS)
    expect(isinstance(schema.get("required", False), bool), path, schema)
    for name, inner in schema.get("properties", {}).items():
        check_draft4(path, inner)
    for inner in [schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", [])]:
        if isinstance(inner, dict):
            check_draft4(path, inner)
    bare = json.loads(json.dumps(schema))
    bare.pop("required", None)
    if not schema.get("properties"):
        Draft4Validator.check_schema(bare)


configuration = read_yaml(manifests / "stackstorm/config.schema.yaml")
for name, field in configuration.items():
    expect(re.fullmatch(r"\w+", name), name)
    check_draft4(name, field)
    expect(field["type"] in ("string", "integer", "number", "boolean", "array", "object"), name, field)
for connector in catalog["connectors"]:
    for name in connector["secrets"]:
        expect(configuration[f"{connector['name']}_{name}"]["secret"] is True, connector["name"], name)

# As StackStorm's own functions of these names do it.
jinja = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
jinja.filters["json_escape"] = lambda value: json.dumps(value).strip('"')
jinja.filters["to_json_string"] = lambda value: json.dumps(value, indent=4, separators=(",", ": "))


def render(template, context):
    """All of a parameter is written as JSON, rendered and read again."""
    jinja.parse(str(template))
    return json.loads(jinja.from_string(json.dumps(template)).render(config_context=context))


HOSTILE = 'a"b\\c\n{{ x }} {% y %} \u2028é'
actions = sorted((manifests / "stackstorm/actions").glob("*.yaml"))
expect(len(actions) == len(of_kind["actions"]), "actions of the pack:", len(actions))
script = manifests / "stackstorm/actions/cordon.sh"
for path in actions:
    action = read_yaml(path)
    parameters = dict(action["parameters"])
    expect(action["runner_type"] == "local-shell-script" and action["entry_point"] == script.name, path)
    expect(action["name"] == path.stem, path)
    environment = parameters.pop("env")
    parameters.pop("timeout")
    for name, parameter in parameters.items():
        check_draft4(f"{path.name}: {name}", parameter)
    connector = environment["default"]["CORDON_RUN_CONNECTOR"]
    command = environment["default"]["CORDON_RUN_ACTION"]
    expect(path.stem == f"{connector}_{command}" and command in known[connector], path)
    empty = render(environment["default"], {})
    fields = {name: field for name, field in configuration.items() if name.startswith(f"{connector}_")}
    expect(
        all(not empty[f"CORDON_{name.removeprefix(f'{connector}_').upper()}"] for name in fields),
        path,
        "sends what nobody set",
    )
    given = {name: HOSTILE if it["type"] == "string" else ["x", HOSTILE] for name, it in fields.items()}
    full = render(environment["default"], given)
    for name, value in given.items():
        text = full[f"CORDON_{name.removeprefix(f'{connector}_').upper()}"]
        expect((text if isinstance(value, str) else json.loads(text)) == value, path, name, text)
    words = []
    for name, parameter in parameters.items():
        needed = sample(parameter) if parameter["required"] else None
        value = SAMPLES.get(name, parameter.get("default", needed))
        if value is True:
            words.append(f"--{name}")
        elif value not in (None, "", False):
            words.append(f"--{name}={value}")
    calls(path.name, words, {name: text for name, text in empty.items() if text}, script)

# Kestra: types that there are, and a command line that the program takes.
flows = sorted((manifests / "kestra").glob("*.yaml"))
expect(flows, "no flows")
for path in flows:
    flow = read_yaml(path)
    expect(re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]*", flow["id"]) and flow["namespace"], path)
    inputs = {it["id"]: it for it in flow["inputs"]}
    for it in inputs.values():
        expect(it["type"] in ("STRING", "INT", "BOOL", "ARRAY"), path, it)
        expect((it["type"] == "ARRAY") == ("itemType" in it), path, it)
    (task,) = flow["tasks"]
    expect(task["type"] == "io.kestra.plugin.docker.cli.Run", path, task["type"])
    words = []
    for word in task["commands"]:
        used = re.findall(r"inputs\.(\w+)", word)
        if used:
            (name,) = used
            it = inputs[name]
            value = it.get("defaults", ["8.8.8.8"] if it["type"] == "ARRAY" else "")
            value = json.dumps(value) if isinstance(value, (list, bool)) else str(value)
            word = re.sub(r"\{\{.*\}\}", lambda _: value, word)
        words.append(word)
    (file, content), = task["inputFiles"].items()
    text = re.sub(r"\{\{ secret\('\w+'\) \}\}", "{}", content)
    expect(json.loads(text) == {"configuration": {}}, path, text)
    (scratch / file).write_text(text)
    calls(path.name, words)
    for trigger in flow.get("triggers", []):
        expect(set(trigger["inputs"]) <= set(inputs), path, trigger)

# Argo: its models, names that Kubernetes takes, parameters that there are.
NAME = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
templates = {}
scheduled = []
for path in sorted((manifests / "argo").glob("*.yaml")):
    value = read_yaml(path)
    expect(re.fullmatch(NAME, value["metadata"]["name"]), path, value["metadata"]["name"])
    model = {"WorkflowTemplate": argo.WorkflowTemplate, "CronWorkflow": argo.CronWorkflow}[value["kind"]]
    kept = json.loads(model.model_validate(value).model_dump_json(exclude_unset=True, by_alias=True))
    expect(kept == value, path, "has what Argo does not know")
    if value["kind"] == "CronWorkflow":
        scheduled.append((path, value))
        continue
    for template in value["spec"]["templates"]:
        expect(re.fullmatch(NAME, template["name"]), path, template["name"])
        parameters = {it["name"]: it.get("value") for it in template["inputs"]["parameters"]}
        templates[value["metadata"]["name"], template["name"]] = parameters
        words = []
        for word in template["container"]["args"]:
            for name in re.findall(r"\{\{inputs\.parameters\.(\w+)\}\}", word):
                value_of = parameters[name]
                text = '["8.8.8.8"]' if value_of is None else value_of
                word = word.replace(f"{{{{inputs.parameters.{name}}}}}", text)
            words.append(word)
        calls(path.name, words)
expect(templates and scheduled, "no templates of Argo")
for path, value in scheduled:
    ((step,),) = value["spec"]["workflowSpec"]["templates"][0]["steps"]
    parameters = templates[step["templateRef"]["name"], step["templateRef"]["template"]]
    for parameter in step["arguments"]["parameters"]:
        expect(parameter["name"] in parameters, path, parameter)

# CACAO: identifiers, references, and commands that the program takes.
for path in (manifests / "cacao").glob("*.json"):
    playbook = json.loads(path.read_text())
    expect(playbook["type"] == "playbook" and playbook["spec_version"] == "cacao-2.0", path)
    for name in ("id", "name", "created_by", "created", "modified", "workflow_start", "workflow"):
        expect(playbook[name], path, name)
    groups = ("workflow", "agent_definitions", "authentication_info_definitions")
    objects = {key: it for group in groups for key, it in playbook[group].items()}
    for key, it in objects.items():
        kind, _, text = key.partition("--")
        expect(kind == it["type"] and uuid.UUID(text).version == 5, path, key)
    references = [playbook["workflow_start"]]
    for it in objects.values():
        references += [it[name] for name in ("on_completion", "on_success", "on_failure", "agent") if name in it]
        references += [it["authentication_info"]] if "authentication_info" in it else []
        for command in it.get("commands", []):
            first, *words = shlex.split(command["command"])
            expect(first == "cordon" and "__" not in command["command"], path, command)
            place = words.index("--input") + 1
            (scratch / "input.json").write_text("{}")
            calls(path.name, [*words[:place], "input.json", *words[place + 1 :]])
    expect(set(references) <= set(objects), path, set(references) - set(objects))
    steps = {it["type"] for it in playbook["workflow"].values()}
    expect(steps == {"start", "action", "end"}, path, steps)

shutil.rmtree(scratch)
print(f"{len(modules)} modules, {len(actions)} actions, {len(responders)} responders, {len(flows)} flows")
