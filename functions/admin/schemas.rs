//! A schema of an OpenAPI description, with everything that it refers to.

use std::collections::{BTreeMap, BTreeSet};

use shared::domain::json::Verbatim;

use crate::json::{Json, Spec, steps};

/// What stands for data, where a reference is none.
const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];
/// What has schemas by name, where no name is a keyword.
const BY_NAME: [&str; 5] =
    ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// How many bytes may still be made.
pub(crate) struct Budget {
    total: usize,
    each: usize,
    one: usize,
    /// Whether nothing more may be made.
    pub(crate) is_spent: bool,
}

impl Budget {
    /// So many in all, and so many for each schema.
    pub(crate) fn new(total: usize, each: usize) -> Self {
        Self { total, each, one: 0, is_spent: false }
    }

    fn spend(&mut self, json: &Json<'_>) -> Result<(), String> {
        let bytes = serde_json::to_string(json).map_or(0, |text| text.len());
        self.one += bytes;
        if bytes > self.total {
            self.is_spent = true;
            return Err("is too much, with all schemas before it".to_owned());
        }
        self.total -= bytes;
        if self.one > self.each {
            return Err("has too large a schema".to_owned());
        }
        Ok(())
    }
}

/// A schema that needs nothing of the description any more. An `example` that is said beside it, or
/// in it as OpenAPI 3.0 has it, becomes the first of JSON Schema's `examples` where it has none.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn whole(
    spec: Spec<'_, '_>,
    schema: &Json<'_>,
    example: Option<&Json<'_>>,
    budget: &mut Budget,
) -> Result<Verbatim, String> {
    budget.one = 0;
    // A schema that is nothing but a reference is what it refers to.
    let is_reference = schema.fields().is_some_and(|fields| fields.len() == 1);
    let root = if is_reference { spec.resolve(schema)? } else { schema };
    let mut own = root.get("$defs").and_then(Json::fields).cloned().unwrap_or_default();
    let mut copier = Copier {
        spec,
        root: Some(root),
        anchors: BTreeSet::new(),
        names: BTreeMap::new(),
        taken: own.keys().cloned().collect(),
        numbers: BTreeMap::new(),
        waiting: Vec::new(),
    };
    anchors(root, &mut copier.anchors);
    let mut copied = copier.schema(root)?;
    if let (Json::Object(fields), Some(example)) = (&mut copied, root.get("example").or(example)) {
        let list = || Json::List(vec![example.clone()]);
        fields.entry("examples".to_owned()).or_insert_with(list);
    }
    budget.spend(&copied)?;
    copier.root = None;
    let mut brought = BTreeMap::new();
    while let Some((name, definition)) = copier.waiting.pop() {
        let definition = copier.schema(definition)?;
        budget.spend(&definition)?;
        brought.insert(name, definition);
    }
    if let (Json::Object(fields), false) = (&mut copied, brought.is_empty()) {
        if let Some(Json::Object(relinked)) = fields.remove("$defs") {
            own = relinked;
        }
        brought.extend(own);
        fields.insert("$defs".to_owned(), Json::Object(brought));
    }
    Ok(Verbatim::of(&copied))
}

/// Copies schemas, turns their references into ones to definitions, and notes those.
struct Copier<'t, 'a> {
    spec: Spec<'t, 'a>,
    /// The schema that becomes the root, while it is copied: what refers to it may stay.
    root: Option<&'t Json<'a>>,
    /// What is named in it.
    anchors: BTreeSet<String>,
    /// What each definition is called, by its place in the description.
    names: BTreeMap<Vec<String>, String>,
    taken: BTreeSet<String>,
    /// The number that the next one of this name gets at least: each is tried once.
    numbers: BTreeMap<String, u32>,
    /// Definitions that are still to be copied.
    waiting: Vec<(String, &'t Json<'a>)>,
}

impl<'t, 'a> Copier<'t, 'a> {
    /// As deep as the description, whose depth is bounded.
    fn schema(&mut self, schema: &Json<'a>) -> Result<Json<'a>, String> {
        match schema {
            Json::Object(fields) => {
                let mut copy = BTreeMap::new();
                for (keyword, value) in fields {
                    copy.insert(keyword.clone(), self.keyword(keyword, value)?);
                }
                Ok(Json::Object(copy))
            }
            Json::List(items) => {
                items.iter().map(|item| self.schema(item)).collect::<Result<_, _>>().map(Json::List)
            }
            Json::Scalar(_) => Ok(schema.clone()),
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Json<'a>) -> Result<Json<'a>, String> {
        match (keyword, value) {
            ("$ref" | "$dynamicRef", Json::Scalar(_)) => match value.text() {
                Some(link) => Ok(Json::of_text(&self.link(&link)?)),
                None => Ok(value.clone()),
            },
            ("discriminator", Json::Object(_)) => self.discriminator(value),
            (_, Json::Object(fields)) if BY_NAME.contains(&keyword) => {
                let mut copy = BTreeMap::new();
                for (name, schema) in fields {
                    copy.insert(name.clone(), self.schema(schema)?);
                }
                Ok(Json::Object(copy))
            }
            _ if DATA.contains(&keyword) => Ok(value.clone()),
            _ => self.schema(value),
        }
    }

    /// The values of a mapping are references, or names of the description's schemas.
    fn discriminator(&mut self, value: &Json<'a>) -> Result<Json<'a>, String> {
        let mut copy = value.fields().cloned().unwrap_or_default();
        if let Some(Json::Object(mapping)) = copy.get_mut("mapping") {
            for target in mapping.values_mut() {
                let Some(link) = target.text() else { continue };
                let is_name =
                    link.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
                let named = format!("#/components/schemas/{link}");
                let link = if is_name && self.spec.target(&named).is_ok() { named } else { link };
                *target = Json::of_text(&self.link(&link)?);
            }
        }
        Ok(Json::Object(copy))
    }

    /// A reference as it has to be in the copy.
    fn link(&mut self, link: &str) -> Result<String, String> {
        let target = match self.spec.target(link) {
            Ok(target) => target,
            Err(_) if self.is_within_root(link) => return Ok(link.to_owned()),
            Err(nowhere) => return Err(nowhere),
        };
        let place = steps(link).unwrap_or_default();
        // One of the description's schemas comes along as a whole, and under its name.
        let (place, target, rest) = match place.as_slice() {
            [components, schemas, name, rest @ ..]
                if components == "components" && schemas == "schemas" && !rest.is_empty() =>
            {
                let outer = [components.clone(), schemas.clone(), name.clone()];
                let schema = self.spec.0.get("components").and_then(|all| all.get("schemas"));
                (outer.to_vec(), schema.and_then(|all| all.get(name)).unwrap_or(target), rest)
            }
            _ => (place.clone(), target, [].as_slice()),
        };
        let name = self.name(place, target);
        let steps = std::iter::once(&name).chain(rest).map(|step| format!("/{}", escape(step)));
        Ok(format!("#/$defs{}", steps.collect::<String>()))
    }

    /// Whether a reference leads to the root itself, to something in it or to an anchor of it.
    fn is_within_root(&self, link: &str) -> bool {
        let Some(root) = self.root else { return false };
        match (link, steps(link)) {
            ("#", _) => true,
            (_, Some(steps)) => steps.iter().try_fold(root, |at, step| at.step(step)).is_some(),
            _ => link.strip_prefix('#').is_some_and(|anchor| self.anchors.contains(anchor)),
        }
    }

    fn name(&mut self, place: Vec<String>, target: &'t Json<'a>) -> String {
        if let Some(name) = self.names.get(&place) {
            return name.clone();
        }
        let wanted = place.last().cloned().unwrap_or_default();
        let number = self.numbers.entry(wanted.clone()).or_insert(1);
        let name = loop {
            let name = match *number {
                1 => wanted.clone(),
                more => format!("{wanted}-{more}"),
            };
            *number += 1;
            if self.taken.insert(name.clone()) {
                break name;
            }
        };
        self.names.insert(place, name.clone());
        self.waiting.push((name.clone(), target));
        name
    }
}

fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// The anchors of a schema and of what is in it.
fn anchors(schema: &Json<'_>, found: &mut BTreeSet<String>) {
    match schema {
        Json::Object(fields) => {
            let names = ["$anchor", "$dynamicAnchor"].into_iter();
            found.extend(names.filter_map(|name| fields.get(name)?.text()));
            fields.values().for_each(|value| anchors(value, found));
        }
        Json::List(items) => items.iter().for_each(|item| anchors(item, found)),
        Json::Scalar(_) => {}
    }
}
