//! Names that are close to one that is not there.

/// Names that are told where one is missing.
const TOLD: usize = 8;
/// How alike two names must be to be taken for each other, from 0 to 1.
const CLOSE: f64 = 0.75;

/// That there is none of this name, with the one that was probably meant and those that there are.
pub(crate) fn missing<'a>(
    noun: &str,
    name: &str,
    there: impl IntoIterator<Item = &'a str>,
) -> String {
    let there: Vec<&str> = there.into_iter().collect();
    let likeness = |one: &&str| strsim::jaro_winkler(name, one);
    let closest = there.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let mut said = format!("there is no {noun} `{name}`");
    said += &match closest.filter(|one| likeness(one) >= CLOSE) {
        Some(closest) => format!("; did you mean `{closest}`?"),
        None => ".".to_owned(),
    };
    match there.len() {
        0 => said + " There is none at all",
        count => {
            let shown = there[..count.min(TOLD)].join(", ");
            let more = if count > TOLD { ", ..." } else { "" };
            said + &format!(" There are: {shown}{more}")
        }
    }
}
