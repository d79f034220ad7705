//! The rules that make generated SDKs work, held against the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};

use everlog::http::{Edition, error::Kind};
use serde_json::{Value, json};

const INTEGER_MAX: i64 = 9_007_199_254_740_991;
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];
const VERBS: [&str; 21] = [
    "get", "list", "put", "publish", "read", "tail", "save", "delete", "drop", "find", "search",
    "count", "pause", "resume", "activate", "retry", "skip", "rebuild", "preview", "create",
    "revoke",
];
const FORBIDDEN: [&str; 4] = ["oneOf", "anyOf", "allOf", "discriminator"];

/// All that breaks a rule, each with its place.
fn check(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if document["openapi"] != "3.1.0" {
        faults.push(format!("openapi is {}, not 3.1.0", document["openapi"]));
    }
    walk(document, "#", &mut |place, node| check_node(document, place, node, &mut faults));
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let requests = requested(document);
    // In Go, `NewEvent` is what makes an `Event`.
    for made in schemas.keys().filter_map(|name| name.strip_prefix("New")) {
        if schemas.contains_key(made) {
            faults.push(format!("schema New{made} has the name of what makes a {made}"));
        }
    }
    for (name, schema) in &schemas {
        check_schema(name, schema, requests.contains(name), &mut faults);
    }
    check_operations(document, &mut faults);
    check_links(document, &mut faults);
    let text = document.to_string();
    for kind in Kind::ALL {
        let code = kind.row().code;
        if !text.contains(&format!("`{code}`")) {
            faults.push(format!("the problem `{code}` is not mentioned"));
        }
    }
    faults
}

/// Visits every object, with its place. Examples are data and not looked into.
fn walk<'a>(node: &'a Value, place: &str, visit: &mut dyn FnMut(&str, &'a Value)) {
    match node {
        Value::Object(members) => {
            visit(place, node);
            for (key, member) in members {
                if key != "example" && key != "examples" {
                    walk(member, &format!("{place}/{key}"), visit);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{place}/{index}"), visit);
            }
        }
        _ => {}
    }
}

fn check_node(document: &Value, place: &str, node: &Value, faults: &mut Vec<String>) {
    for word in FORBIDDEN.iter().filter(|word| node.get(**word).is_some()) {
        faults.push(format!("{place}: {word} breaks generators"));
    }
    if let Some(reference) = node["$ref"].as_str() {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        if target.is_none() {
            faults.push(format!("{place}: {reference} is nowhere; list it in components"));
        }
    }
    let top = place.strip_prefix("#/components/schemas/").is_some_and(|name| !name.contains('/'));
    let properties = place.ends_with("/properties");
    if node.get("properties").is_some() && !top && !properties {
        faults.push(format!("{place}: an object without a name; make it a schema of its own"));
    }
    let max = node["maximum"].as_f64();
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact")]
    let bounded = max.is_some_and(|max| max <= INTEGER_MAX as f64);
    if of_type(node, "integer") && !bounded {
        faults.push(format!("{place}: an integer without a maximum of at most 2^53 - 1"));
    }
}

/// Whether a schema's type is this one, or among others this one.
fn of_type(schema: &Value, name: &str) -> bool {
    let types = &schema["type"];
    types == name || types.as_array().is_some_and(|types| types.iter().any(|t| t == name))
}

fn is_described(node: &Value) -> bool {
    node["description"].as_str().is_some_and(|text| !text.trim().is_empty())
}

fn check_schema(name: &str, schema: &Value, requested: bool, faults: &mut Vec<String>) {
    if !is_described(schema) {
        faults.push(format!("schema {name} has no description"));
    }
    for (property, part) in schema["properties"].as_object().into_iter().flatten() {
        if !is_described(part) {
            faults.push(format!("property {property} of {name} has no description"));
        }
    }
    let closed = schema["additionalProperties"] == false;
    if requested && schema.get("properties").is_some() && !closed {
        faults.push(format!("request schema {name} lets unknown members pass"));
    }
    if !requested && closed {
        faults.push(format!("answer schema {name} may never grow: additionalProperties is false"));
    }
    walk(schema, name, &mut |place, node| {
        if requested && of_type(node, "null") {
            faults.push(format!("{place}: a null union in a request"));
        }
        if !requested && node.get("enum").is_some() {
            faults.push(format!("{place}: an enum in an answer may never grow"));
        }
    });
}

/// The names of all schemas that request bodies lead to.
fn requested(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = Vec::new();
    for (_, _, operation) in operations(document) {
        open.push(&operation["requestBody"]);
    }
    while let Some(node) = open.pop() {
        walk(node, "", &mut |_, node| {
            let name = node["$ref"].as_str().and_then(|r| r.strip_prefix("#/components/schemas/"));
            if let Some(name) = name.filter(|name| !found.contains(*name)) {
                found.insert(name.to_owned());
                open.push(&document["components"]["schemas"][name]);
            }
        });
    }
    found
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, item)| {
        METHODS.into_iter().map(move |method| (path.as_str(), method, &item[method]))
    });
    all.filter(|(_, _, operation)| operation.is_object()).collect()
}

fn check_operations(document: &Value, faults: &mut Vec<String>) {
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, method, operation) in operations(document) {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap_or_default();
        *ids.entry(id).or_default() += 1;
        let (verb, noun) = id.split_once('_').unwrap_or((id, ""));
        let snake = noun.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if !(VERBS.contains(&verb) || verb == "export") || noun.is_empty() || !snake {
            faults.push(format!("{at}: operationId `{id}` is not <verb>_<noun>"));
        }
        if operation["tags"].as_array().is_none_or(|tags| tags.len() != 1) {
            faults.push(format!("{at}: needs one tag"));
        }
        for member in ["summary", "description"] {
            if operation[member].as_str().is_none_or(str::is_empty) {
                faults.push(format!("{at}: has no {member}"));
            }
        }
        if operation["x-codeSamples"][0]["source"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{at}: has no sample in examples/every_operation.sh"));
        }
        if verb == "publish" && !links_to_reads(operation) {
            faults.push(format!("{at}: links to no read of what it published"));
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if !is_described(parameter) {
                faults.push(format!("{at}: parameter {} has no description", parameter["name"]));
            }
            if parameter.get("example").is_none() {
                faults.push(format!("{at}: parameter {} has no example", parameter["name"]));
            }
            if of_type(&parameter["schema"], "null") {
                faults.push(format!("{at}: parameter {} is a null union", parameter["name"]));
            }
        }
        for (kind, body) in contents(&operation["requestBody"]) {
            if !has_example(document, body) {
                faults.push(format!("{at}: the body as {kind} has no example"));
            }
        }
        check_responses(&at, &operation["responses"], faults);
    }
    for (id, times) in ids.into_iter().filter(|(_, times)| *times > 1) {
        faults.push(format!("operationId `{id}` stands {times} times"));
    }
    if operations(document).is_empty() {
        faults.push("the document has no operations".to_owned());
    }
}

/// What a body or an answer is, by its media type.
fn contents(of: &Value) -> impl Iterator<Item = (&String, &Value)> {
    of["content"].as_object().into_iter().flatten()
}

/// Whether a body shows what it is like, itself or by its schema.
fn has_example(document: &Value, body: &Value) -> bool {
    let reference = body.pointer("/schema/$ref").and_then(Value::as_str);
    let schema = reference.and_then(|found| document.pointer(found.trim_start_matches('#')));
    body.get("example").is_some() || schema.is_some_and(|schema| schema.get("examples").is_some())
}

/// Whether each answer of success says where to read on.
fn links_to_reads(operation: &Value) -> bool {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let mut good = responses.filter(|(status, _)| status.starts_with('2'));
    good.all(|(_, response)| {
        let mut links = response["links"].as_object().into_iter().flatten();
        links
            .any(|(_, link)| link["operationId"].as_str().is_some_and(|id| id.starts_with("read_")))
    })
}

/// Links lead to operations that there are, with parameters that these have.
fn check_links(document: &Value, faults: &mut Vec<String>) {
    let all = operations(document);
    for (_, _, operation) in &all {
        let from = &operation["operationId"];
        let responses = operation["responses"].as_object().into_iter().flatten();
        let links = responses.filter_map(|(_, response)| response["links"].as_object()).flatten();
        for (name, link) in links {
            let Some((_, _, to)) =
                all.iter().find(|(.., to)| to["operationId"] == link["operationId"])
            else {
                faults.push(format!("{from}: the link {name} leads nowhere"));
                continue;
            };
            let parameters = to["parameters"].as_array().into_iter().flatten();
            let has: BTreeSet<_> = parameters.filter_map(|one| one["name"].as_str()).collect();
            for given in link["parameters"].as_object().into_iter().flatten() {
                if !has.contains(given.0.as_str()) {
                    faults.push(format!("{from}: {name} has no parameter {}", given.0));
                }
            }
        }
    }
}

fn check_responses(at: &str, responses: &Value, faults: &mut Vec<String>) {
    let mut bodies = BTreeSet::new();
    for (status, response) in responses.as_object().into_iter().flatten() {
        if !is_described(response) {
            faults.push(format!("{at}: response {status} has no description"));
        }
        let schemas: Vec<_> =
            contents(response).map(|(_, body)| body["schema"].to_string()).collect();
        if status.starts_with('2') {
            if schemas.is_empty() {
                faults.push(format!("{at}: response {status} has no body"));
            }
            let silent = |(kind, body): (&String, &Value)| match kind.as_str() {
                "text/html" => false,
                "text/event-stream" => !response["description"].to_string().contains("data: "),
                _ => body.get("example").is_none(),
            };
            if contents(response).any(silent) {
                faults.push(format!("{at}: response {status} shows no answer"));
            }
            bodies.extend(schemas);
        }
    }
    if bodies.len() != 1 {
        faults.push(format!("{at}: {} bodies of success instead of one", bodies.len()));
    }
    for range in ["4XX", "5XX"] {
        if responses.get(range).is_none() {
            faults.push(format!("{at}: says nothing of {range}"));
        }
    }
}

fn document() -> Value {
    serde_json::from_str(everlog::http::document(Edition::Full)).expect("the document is JSON")
}

#[test]
fn the_document_obeys_every_rule() {
    let for_sdks = serde_json::from_str(everlog::http::document(Edition::Sdk)).expect("it is JSON");
    for document in [document(), for_sdks] {
        let faults = check(&document);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn what_is_served_is_in_the_document() {
    let document = document();
    let paths: Vec<_> = operations(&document).iter().map(|(path, _, _)| *path).collect();
    for path in ["/", "/openapi.json", "/livez", "/readyz", "/problems/{code}", "/v1/logs"] {
        assert!(paths.contains(&path), "{path} is not in the document");
    }
}

#[test]
fn requests_demand_what_the_service_demands() {
    let document = document();
    for (name, demanded) in [
        ("Condition", json!([])),
        ("EventMatch", json!([])),
        ("SourceInput", json!([])),
        ("StreamInput", json!(["category", "stream"])),
        ("EventInput", json!(["name"])),
        ("PublishToStream", json!(["events"])),
        ("PublishToCategory", json!(["writes"])),
        ("PublishToLog", json!(["writes"])),
        ("CategoryWrite", json!(["stream", "events"])),
        ("LogWrite", json!(["category", "stream", "events"])),
        ("LogInput", json!([])),
    ] {
        let required = &document["components"]["schemas"][name]["required"];
        let required = if required.is_null() { &json!([]) } else { required };
        assert_eq!(*required, demanded, "{name}");
    }
}

/// Where operations stand, as JSON Pointers.
const READ: &str = "/paths/~1v1~1logs~1{log}~1events/get";

const PUBLISH: &str = "/paths/~1v1~1logs~1{log}~1events/post";

const BODY: &str = "/paths/~1v1~1logs~1{log}~1events/post/requestBody/content/application~1json";

fn planted(pointer: &str, value: Value) -> Vec<String> {
    check(&planted_in(document(), pointer, value))
}

/// A document in which something is another, or gone (null).
pub(super) fn planted_in(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let parent = document.pointer_mut(parent).expect("the parent is there");
    let member = member.replace("~1", "/");
    match value {
        Value::Null => drop(parent.as_object_mut().expect("an object").remove(&member)),
        value => parent[member] = value,
    }
    document
}

/// Plants each value at its pointer, and finds that a rule tells of it.
fn caught<const N: usize>(plants: [(String, Value, &str); N]) {
    for (pointer, value, message) in plants {
        let faults = planted(&pointer, value.clone());
        let caught = faults.iter().any(|fault| fault.contains(message));
        assert!(caught, "{pointer} = {value} was not caught as `{message}`: {faults:?}");
    }
}

#[test]
fn each_rule_of_schemas_catches_a_planted_violation() {
    let schema = |name: &str, rest: &str| format!("/components/schemas/{name}{rest}");
    let text = json!({"type": "string", "description": "x"});
    caught([
        ("/openapi".to_owned(), json!("3.0.3"), "not 3.1.0"),
        (schema("Event", "/oneOf"), json!([text]), "oneOf"),
        (schema("Event", "/anyOf"), json!([text]), "anyOf"),
        (schema("Event", "/allOf"), json!([text]), "allOf"),
        (schema("Event", "/discriminator"), json!({}), "discriminator"),
        (
            schema("Event", "/properties/name"),
            json!({"$ref": "#/components/schemas/No", "description": "x"}),
            "is nowhere",
        ),
        (
            schema("Event", "/properties/name"),
            json!({"type": "object", "description": "x", "properties": {}}),
            "without a name",
        ),
        (schema("Event", "/properties/name"), json!({"type": "string"}), "no description"),
        (
            schema("Event", "/properties/name"),
            json!({"type": "string", "description": "x", "enum": ["a"]}),
            "an enum",
        ),
        (
            schema("Event", "/properties/position"),
            json!({"type": "integer", "description": "x"}),
            "without a maximum",
        ),
        (
            schema("Event", "/properties/position"),
            json!({"type": "integer", "description": "x", "maximum": 1e17}),
            "without a maximum",
        ),
        (schema("Event", "/additionalProperties"), json!(false), "may never grow"),
        (schema("NewEvent", ""), text.clone(), "has the name of what makes"),
        (schema("Event", "/description"), json!(""), "schema Event has no description"),
        (schema("EventInput", "/additionalProperties"), json!(true), "unknown members"),
        (
            schema("EventInput", "/properties/id/type"),
            json!(["string", "null"]),
            "null union in a request",
        ),
        (
            schema("Problem", "/properties/code/description"),
            json!("codes"),
            "`internal` is not mentioned",
        ),
    ]);
}

#[test]
fn each_rule_of_operations_catches_a_planted_violation() {
    let text = json!({"type": "string", "description": "x"});
    let read = |rest: &str| format!("{READ}{rest}");
    let link = |rest: &str| format!("{PUBLISH}/responses/201/links/read_log{rest}");
    caught([
        (read("/operationId"), json!("list_logs"), "stands 2 times"),
        (read("/operationId"), json!("readLog"), "not <verb>_<noun>"),
        (read("/tags"), json!([]), "needs one tag"),
        (read("/summary"), json!(""), "no summary"),
        (read("/x-codeSamples"), json!([]), "no sample"),
        (PUBLISH.to_owned() + "/responses/201/links", json!({}), "links to no read"),
        (link("/operationId"), json!("read_nothing"), "leads nowhere"),
        (link("/parameters/page"), json!("x"), "has no parameter page"),
        (read("/parameters/0/description"), json!(""), "no description"),
        (read("/parameters/0/schema/type"), json!(["string", "null"]), "is a null union"),
        (read("/responses/200/description"), json!(""), "response 200"),
        (read("/responses/200/content"), json!({}), "has no body"),
        (read("/responses/200/content/application~1json/example"), Value::Null, "shows no answer"),
        (read("/parameters/0/example"), Value::Null, "has no example"),
        (BODY.to_owned() + "/schema", json!({}), "the body as application/json has no example"),
        (
            read("/responses/202"),
            json!({"description": "x", "content": {"application/json": {"schema": text}}}),
            "2 bodies",
        ),
        (read("/responses"), json!({}), "says nothing of 5XX"),
        ("/paths".to_owned(), json!({}), "no operations"),
    ]);
}
