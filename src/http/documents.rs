//! What is made of the OpenAPI document of the routes: all of it, with samples and links; the part that generators make good
//! clients of; and that part for tools that read OpenAPI 3.0 only.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::error::Kind;

/// The methods that a path may have.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];
const JSON: &str = "application/json";
/// What each operation answered to its sample: `UPDATE=1 cargo test samples` keeps it.
const ANSWERS: &str = include_str!("../../examples/every_answer.json");
/// Operations that do without their bodies.
const OPTIONAL_BODIES: [&str; 1] = ["put_log"];
const SCHEMAS: &str = "#/components/schemas/";

/// An operation, what it leads to once it has succeeded, the parameters of both, and where others come from.
type Link =
    (&'static str, &'static str, &'static [&'static str], Option<(&'static str, &'static str)>);

const LINKS: [Link; 12] = [
    ("publish_to_stream", "read_stream", &["log", "category", "stream"], None),
    ("publish_to_stream", "get_event", &["log"], Some(("event_id", "$response.body#/events/0/id"))),
    ("publish_to_category", "read_category", &["log", "category"], None),
    ("publish_to_category", "get_event", &["log"], Some(("event_id", FIRST))),
    ("publish_to_log", "read_log", &["log"], None),
    ("publish_to_log", "get_event", &["log"], Some(("event_id", FIRST))),
    ("put_log", "publish_to_log", &["log"], None),
    ("put_entry", "get_entry", &["log", "projection", "id"], None),
    (
        "save_entries",
        "get_entry",
        &["log", "projection"],
        Some(("id", "$response.body#/entries/0/id")),
    ),
    ("put_projection", "search_projection", &["log", "projection"], None),
    ("put_projector", "get_projector", &["log", "projector"], None),
    (
        "put_projector",
        "search_projection",
        &["log"],
        Some(("projection", "$response.body#/projector")),
    ),
];
const FIRST: &str = "$response.body#/writes/0/events/0/id";

/// The document of the routes as JSON, with what is not said at them.
pub(super) fn whole(document: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or(Value::Null);
    let code = "/components/schemas/Problem/properties/code/description";
    if let Some(description) = document.pointer_mut(code) {
        *description = Value::String(codes());
    }
    document["components"]["securitySchemes"] = json!({"key": {
        "type": "http", "scheme": "bearer", "bearerFormat": "evl_ID_SECRET",
        "description": "A key (RFC 6750), where the service authenticates. Beside an operation stands the action that a \
            scope of the key has to give."
    }, "ticket": {
        "type": "apiKey", "in": "query", "name": "ticket",
        "description": "What `create_ticket` answered: it opens one tail."
    }});
    let answers: Value = serde_json::from_str(ANSWERS).unwrap_or_default();
    for path in members(&mut document, "paths") {
        for operation in path.values_mut() {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            if operation["security"].is_null() {
                operation["security"] = json!([]);
            }
            if let Some((_, source)) = samples().find(|(of, _)| *of == id) {
                let sample = json!([{"lang": "Shell", "label": "curl", "source": source}]);
                operation["x-codeSamples"] = sample;
            }
            if OPTIONAL_BODIES.contains(&id.as_str()) {
                operation["requestBody"]["required"] = json!(false);
            }
            let links = links(&id);
            let responses = operation["responses"].as_object_mut().into_iter().flatten();
            for (status, response) in responses.filter(|(status, _)| status.starts_with('2')) {
                if let Some(answer) = answers.get(&id) {
                    exemplify(response, answer, status);
                }
                if !links.is_empty() {
                    response["links"] = Value::Object(links.clone());
                }
            }
        }
    }
    document
}

/// Each operation by its id, and how it is done with curl.
fn samples() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = include_str!("../../examples/every_operation.sh");
    let parts = text.split("\n\n# ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(id, source)| (id, source.trim_end()))
}

/// An answer's example is one that was given, and the same to a repetition. The schema of a tail is that of its `data`, for
/// clients that follow it: the frames stand in the description.
fn exemplify(response: &mut Value, answer: &Value, status: &str) {
    if response.pointer("/content/text~1event-stream").is_some() {
        let said = response["description"].as_str().unwrap_or_default();
        let frames = answer.as_str().unwrap_or_default().trim_end();
        response["description"] = json!(format!("{said}\n\n```text\n{frames}\n```"));
        return;
    }
    let mut answer = answer.clone();
    if let Some(replayed) = answer.get_mut("replayed") {
        *replayed = json!(status == "200");
    }
    for (_, media) in response["content"].as_object_mut().into_iter().flatten() {
        media["example"] = answer.clone();
    }
}

fn links(id: &str) -> Map<String, Value> {
    let of_it = LINKS.iter().filter(|(from, ..)| *from == id);
    let links = of_it.map(|(_, to, shared, found)| {
        let shared = shared.iter().map(|name| (*name, format!("$request.path.{name}")));
        let found = found.iter().map(|(name, place)| (*name, (*place).to_owned()));
        let parameters: Map<_, _> =
            shared.chain(found).map(|(name, place)| (name.to_owned(), place.into())).collect();
        ((*to).to_owned(), json!({"operationId": to, "parameters": parameters}))
    });
    links.collect()
}

/// Every code there is.
fn codes() -> String {
    let mut text = "The last part of `type`. There are:".to_owned();
    let mut told = BTreeSet::new();
    for kind in Kind::ALL {
        let row = kind.row();
        let before = if told.is_empty() { "" } else { "," };
        if told.insert((row.code, row.status)) {
            text.push_str(&format!("{before} {} `{}`", row.status.as_u16(), row.code));
        }
    }
    text.push_str(". More may come.");
    text
}

/// The document without what is no JSON: no generator of clients knows what to do with streams (they wait for the end of
/// them), or with several media types of a body.
pub(super) fn for_sdks(document: &Value) -> Value {
    let mut document = document.clone();
    for path in members(&mut document, "paths") {
        for method in METHODS {
            if path.get(method).is_some_and(|operation| !answers_json(operation)) {
                path.remove(method);
            } else if let Some(Value::Object(bodies)) =
                path.get_mut(method).and_then(|found| found.pointer_mut("/requestBody/content"))
            {
                bodies.retain(|kind, _| kind == JSON);
            }
        }
    }
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        paths.retain(|_, path| METHODS.iter().any(|method| path.get(method).is_some()));
    }
    let used = used(&document);
    if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
        schemas.retain(|name, _| used.schemas.contains(name));
    }
    if let Some(Value::Array(tags)) = document.get_mut("tags") {
        tags.retain(|tag| tag["name"].as_str().is_some_and(|name| used.tags.contains(name)));
    }
    document
}

/// The document as OpenAPI 3.0.3: what may be null says so by a word of its own, and nothing stands beside a reference.
pub(super) fn as_of_3_0(document: &Value) -> Value {
    let mut document = document.clone();
    document["openapi"] = json!("3.0.3");
    if let Some(Value::Object(license)) = document.pointer_mut("/info/license") {
        license.remove("identifier");
        license.insert("url".to_owned(), json!("https://opensource.org/license/mit"));
    }
    downgrade(&mut document);
    document
}

fn downgrade(node: &mut Value) {
    match node {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").cloned() {
                *members = Map::from_iter([("$ref".to_owned(), reference)]);
                return;
            }
            if let Some(Value::Array(types)) = members.get("type") {
                let mut others = types.iter().filter(|one| **one != "null").cloned();
                let nullable = types.iter().any(|one| one == "null");
                if let Some(only) = others.next() {
                    members.insert("type".to_owned(), only);
                }
                members.insert("nullable".to_owned(), json!(nullable));
            }
            members.remove("propertyNames");
            if let Some(Value::Array(examples)) = members.get("examples").cloned() {
                members.remove("examples");
                members.extend(examples.into_iter().next().map(|one| ("example".to_owned(), one)));
            }
            for (name, member) in members.iter_mut() {
                if name == "security" {
                    // Roles of a key are of 3.1.
                    let schemes = member.as_array_mut().into_iter().flatten();
                    let schemes = schemes.filter_map(Value::as_object_mut);
                    schemes.for_each(|one| one.values_mut().for_each(|roles| *roles = json!([])));
                }
                // Examples are data.
                if name != "example" && name != "examples" {
                    downgrade(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(downgrade),
        _ => {}
    }
}

/// The objects of an object.
fn members<'a>(
    node: &'a mut Value,
    name: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let found = node.get_mut(name).and_then(Value::as_object_mut);
    found.into_iter().flat_map(|found| found.values_mut().filter_map(Value::as_object_mut))
}

/// Whether all that an operation answers when it succeeds is JSON.
fn answers_json(operation: &Value) -> bool {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let good = responses.filter(|(status, _)| status.starts_with('2'));
    let bodies = good.flat_map(|(_, response)| response["content"].as_object());
    bodies.flat_map(Map::keys).all(|kind| kind == JSON)
}

/// What the operations of a document lead to.
#[derive(Debug, Default)]
struct Used {
    schemas: BTreeSet<String>,
    tags: BTreeSet<String>,
}

fn used(document: &Value) -> Used {
    let mut used = Used::default();
    let mut open = vec![&document["paths"]];
    while let Some(node) = open.pop() {
        match node {
            Value::Object(members) => {
                let named = members.get("$ref").and_then(Value::as_str);
                let named = named.and_then(|reference| reference.strip_prefix(SCHEMAS));
                if let Some(name) = named
                    && used.schemas.insert(name.to_owned())
                {
                    open.push(&document["components"]["schemas"][name]);
                }
                let tags = members.get("tags").and_then(Value::as_array).into_iter().flatten();
                used.tags.extend(tags.filter_map(Value::as_str).map(str::to_owned));
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    used
}
