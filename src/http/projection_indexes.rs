//! Declared indexes of a projection.

use axum::{extract::State, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    body::JsonBody,
    error::{Fault, Problem},
    extract::InProjection,
    gate::{Authorized, Project},
    openapi::{ProjectionPath, ReadFailures},
    projection_names::{ProjectionOutput, projection},
    projections::unsettled,
    query::Query,
    state::App,
};
use crate::{
    model::{Json, ProjectorName, Revision, Standing, limits::JSON_DEPTH_MAX},
    query::{
        By,
        index::{self, Of},
    },
    storage::indexes::Declared,
};

/// What the indexes of a projection are to be: all of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectionInput, examples(json!({"indexes": [
    {"name": "by_country", "fields": [{"path": "/state/country"}, {"path": "/state/total", "order": "desc"}]},
    {"name": "alike", "similarity": "/state/name"}
]})))]
#[expect(dead_code, reason = "describes what query::index::parse reads")]
pub(super) struct ProjectionInput {
    /// The indexes; an empty list for none.
    #[schema(max_items = 16)]
    indexes: Vec<IndexInput>,
}

/// An index: of fields, or of a similarity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Index)]
#[expect(dead_code, reason = "describes what query::index::parse reads")]
pub(super) struct IndexInput {
    /// What tells it from others of the projection.
    #[schema(min_length = 1, max_length = 255, example = "by_country")]
    name: String,
    /// The fields, in their order. It serves queries that give values for the first of them, and a range or a sort for
    /// the next.
    #[schema(nullable = false, min_items = 1, max_items = 4)]
    fields: Option<Vec<IndexFieldInput>>,
    /// The path to a text, for `similar` filters and sorts by similarity.
    #[schema(nullable = false, example = "/state/name")]
    similarity: Option<String>,
}

/// A field of an index.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = IndexField)]
#[expect(dead_code, reason = "describes what query::index::parse reads")]
pub(super) struct IndexFieldInput {
    /// A JSON Pointer into the entry.
    #[schema(example = "/state/country")]
    path: String,
    /// `asc` (default) or `desc`: that of the sorts it is to serve.
    #[schema(nullable = false, pattern = "^(asc|desc)$", example = "desc")]
    order: Option<String>,
}

/// An index of a projection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeclaredIndex)]
pub(super) struct IndexOutput {
    /// Its name.
    name: String,
    /// Its fields; null if it is of a similarity.
    #[schema(required)]
    fields: Option<Vec<IndexFieldOutput>>,
    /// The path of its text; null if it is of fields.
    #[schema(required)]
    similarity: Option<String>,
    /// Whether all entries are in it. Queries use it from then on.
    ready: bool,
    /// How many of the entries that were there before it have been added.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    added: i64,
}

/// A field of an index.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeclaredIndexField)]
pub(super) struct IndexFieldOutput {
    /// A JSON Pointer into the entry.
    path: String,
    /// `asc` or `desc`.
    #[schema(example = "desc")]
    order: String,
}

impl From<&Declared> for IndexOutput {
    fn from(declared: &Declared) -> Self {
        let (fields, similarity) = match &declared.index.of {
            Of::Similarity(path) => (None, Some(path.to_string())),
            Of::Fields(fields) => {
                let output = |field: &crate::query::Sort| match &field.by {
                    By::Path(path) | By::Similarity { path, .. } => {
                        IndexFieldOutput { path: path.to_string(), order: field.order().to_owned() }
                    }
                };
                (Some(fields.iter().map(output).collect()), None)
            }
        };
        Self {
            name: declared.index.name.to_string(),
            fields,
            similarity,
            ready: declared.built,
            added: declared.documents,
        }
    }
}

/// Declare indexes
///
/// Makes these the indexes of the projection. One that is there with the same definition stays; others are built in
/// the background, and `ready` tells when they serve. The projection need not have entries yet.
#[utoipa::path(put, path = "/logs/{log}/projections/{projection}", tag = "projections", security(("key" = ["project"])),
    params(ProjectionPath), request_body = ProjectionInput,
    responses((status = 200, description = "The projection.", body = ProjectionOutput),
              ReadFailures))]
pub(super) async fn put_projection(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjection>,
    mut query: Query,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    let raw = body.parse::<Box<RawValue>>(0)?;
    let json = Json::parse(raw.get(), JSON_DEPTH_MAX).map_err(|fault| {
        Problem::invalid(vec![Fault::at(&fault.pointer, fault.kind.to_string())])
    })?;
    let indexes = index::parse(&json).map_err(|faults| {
        let faults = faults.into_iter().map(|fault| Fault::at(&fault.pointer, fault.detail));
        Problem::invalid(faults.collect())
    })?;
    let mut names = vec![at.name.clone()];
    if at.fed.is_some() {
        // One that is built beside it is to serve queries as well.
        let projector = ProjectorName::stored(at.name.known());
        let found = app.storage.projectors.revisions_of(&at.log, Some(&projector)).await?;
        let beside = found.iter().filter(|found| found.standing == Standing::Building);
        names.extend(beside.map(Revision::documents));
    }
    for name in &names {
        let declared = app.storage.projections.declare(&at.log, name, &indexes).await;
        declared.map_err(unsettled)?;
    }
    app.indexer.kick();
    projection(&app, &at.log, &at.name).await
}
