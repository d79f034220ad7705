//! The projections of a planted store.

use async_trait::async_trait;
use everlog::{
    model::{
        Change, Direction, Edit, EntryId, Guard, Json, Log, Projection, ProjectionName, Source,
    },
    query::index::Index,
    storage::{
        Listing, StorageError,
        indexes::{Alike, Declared, Keys, Unfinished},
        projections::{EditOutcome, Kept, NameEnd, Part, ProjectionView, Projections, Stretch},
    },
};

use super::planted::{Plant, Planted};

#[async_trait]
impl Projections for Planted {
    async fn projections(&self, log: &Log) -> Result<Box<dyn ProjectionView>, StorageError> {
        let view = self.inner.projections(&self.log(log)).await?;
        Ok(Box::new(PlantedDocuments { view, plant: self.plant }))
    }

    async fn edit(
        &self,
        log: &Log,
        name: &ProjectionName,
        batch: &[Edit],
    ) -> Result<Vec<EditOutcome>, StorageError> {
        let mut batch = batch.to_vec();
        for change in batch.iter_mut().flat_map(|edit| &mut edit.changes) {
            match (self.plant, change) {
                (Plant::ForgetsGuards, Change::Save(save)) => save.guard = Guard::default(),
                (Plant::RoundsIntegers, Change::Save(save)) => save.state = rounded(&save.state),
                _ => {}
            }
        }
        self.inner.edit(&self.log(log), name, &batch).await
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        self.inner.drop_projection(&self.log(log), name).await
    }

    async fn declare(
        &self,
        log: &Log,
        name: &ProjectionName,
        indexes: &[Index],
    ) -> Result<(), StorageError> {
        self.inner.declare(&self.log(log), name, indexes).await
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StorageError> {
        self.inner.unfinished().await
    }

    async fn build(&self, log: &Log, work: &Unfinished) -> Result<bool, StorageError> {
        self.inner.build(&self.log(log), work).await
    }
}

/// As a store would have it that keeps all numbers as floats.
fn rounded(value: &Json) -> Json {
    match value {
        Json::Integer(number) => Json::stored(&format!("{number}.0")),
        Json::Array(elements) => Json::Array(elements.iter().map(rounded).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(key, value)| (key.clone(), rounded(value))).collect())
        }
        other => other.clone(),
    }
}

struct PlantedDocuments {
    view: Box<dyn ProjectionView>,
    plant: Plant,
}

impl PlantedDocuments {
    /// The stretch in an order that knows one case alone.
    async fn by_locale(&mut self, stretch: &Stretch) -> Result<Part, StorageError> {
        let all = Stretch {
            from: None,
            direction: Direction::Forwards,
            limit: usize::MAX,
            ..stretch.clone()
        };
        let mut found = self.view.stretch(&all).await?.documents;
        let order = |name: &ProjectionName, id: &EntryId| {
            (name.clone(), id.as_str().to_lowercase(), id.clone())
        };
        found.sort_by_key(|document| order(&document.name, &document.id));
        let forwards = stretch.direction == Direction::Forwards;
        if !forwards {
            found.reverse();
        }
        if let Some((name, id)) = &stretch.from {
            let from = order(name, id);
            found.retain(|document| {
                let place = order(&document.name, &document.id);
                if forwards { place > from } else { place < from }
            });
        }
        let at_end = found.len() < stretch.limit;
        found.truncate(stretch.limit);
        Ok(Part::whole(found, at_end))
    }
}

#[async_trait]
impl ProjectionView for PlantedDocuments {
    async fn kept(
        &mut self,
        name: &ProjectionName,
        ids: &[EntryId],
    ) -> Result<Vec<Kept>, StorageError> {
        self.view.kept(name, ids).await
    }

    async fn stretch(&mut self, stretch: &Stretch) -> Result<Part, StorageError> {
        if self.plant == Plant::OrdersByLocale {
            return self.by_locale(stretch).await;
        }
        let mut found = self.view.stretch(stretch).await?;
        if self.plant == Plant::SkipsDocuments && found.documents.len() > 2 {
            found.documents.remove(1);
        }
        Ok(found)
    }

    async fn of_source(
        &mut self,
        name: &ProjectionName,
        source: &Source,
        limit: usize,
    ) -> Result<Vec<Projection>, StorageError> {
        self.view.of_source(name, source, limit).await
    }

    async fn end(&mut self, name: &ProjectionName) -> Result<NameEnd, StorageError> {
        self.view.end(name).await
    }

    async fn changed(
        &mut self,
        name: &ProjectionName,
        after: i64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Kept>, StorageError> {
        let mut found = self.view.changed(name, after, limit, bytes).await?;
        if self.plant == Plant::SkipsDocuments && found.len() > 1 {
            found.remove(0);
        }
        Ok(found)
    }

    async fn indexes(&mut self, name: &ProjectionName) -> Result<Vec<Declared>, StorageError> {
        let mut indexes = self.view.indexes(name).await?;
        if self.plant == Plant::ServesHalfBuilt {
            indexes.iter_mut().for_each(|index| index.built = true);
        }
        Ok(indexes)
    }

    async fn keyed(&mut self, keys: &Keys) -> Result<Part, StorageError> {
        let mut found = self.view.keyed(keys).await?;
        if self.plant == Plant::SkipsKeys && found.documents.len() > 1 {
            found.documents.remove(0);
        }
        Ok(found)
    }

    async fn keys_between(
        &mut self,
        index: i64,
        from: &[u8],
        to: &[u8],
    ) -> Result<u64, StorageError> {
        let count = self.view.keys_between(index, from, to).await?;
        Ok(if self.plant == Plant::SkipsKeys { count.saturating_sub(1) } else { count })
    }

    async fn alike(&mut self, alike: &Alike) -> Result<Vec<EntryId>, StorageError> {
        self.view.alike(alike).await
    }

    async fn names(
        &mut self,
        listing: &Listing,
    ) -> Result<Vec<(ProjectionName, i64)>, StorageError> {
        self.view.names(listing).await
    }

    async fn close(self: Box<Self>) {
        self.view.close().await;
    }
}
