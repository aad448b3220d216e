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
    let mut said = format!("there is no {noun} `{name}`");
    said += &match closest(name, there.iter().copied()) {
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

/// The one that was probably meant by this name.
pub(crate) fn closest<'a>(name: &str, there: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = there.into_iter().map(|one| (strsim::jaro_winkler(name, one), one));
    let closest = alike.max_by(|(a, _), (b, _)| a.total_cmp(b));
    closest.filter(|(likeness, _)| *likeness >= CLOSE).map(|(_, one)| one)
}
