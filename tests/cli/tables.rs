//! Lists, as people see them.

use proptest::prelude::*;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::Place;
use crate::table::{Column, Table};

const MESSAGE: &str = "msg_2xmplWq7RbT4nKc9LsVd1HgYz3F";
const COLUMNS: [Column; 4] = [
    Column::whole("TIME", |item| text(item, "time")),
    Column::text("URL", |item| text(item, "url")),
    Column::text("DESCRIPTION", |item| text(item, "description")),
    Column::whole("ID", |item| text(item, "id")),
];

fn text(item: &Value, name: &str) -> String {
    item[name].as_str().unwrap_or_default().to_owned()
}

fn item(url: &str, description: &str) -> Value {
    json!({"time": "2026-11-26 03:00:04Z", "url": url, "description": description, "id": MESSAGE})
}

#[test]
fn at_a_terminal_the_longest_text_is_cut_first_and_never_an_id() {
    let url = format!("https://acme.example/{}", "hooks/".repeat(20));
    let items = [item(&url, "short"), item("https://b.example", "")];
    let table = Table::new(&items, &COLUMNS).within(Some(100));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1],
        format!("2026-11-26 03:00:04Z  https://acme.example/hooks/hook…  short        {MESSAGE}")
    );
    assert!(lines[2].starts_with("2026-11-26 03:00:04Z  https://b.example   "), "{table}");
    let longest = lines.iter().map(|line| line.chars().count()).max();
    assert_eq!(longest, Some(100));
}

#[test]
fn where_there_is_no_terminal_nothing_is_cut() {
    let url = format!("https://acme.example/{}", "hooks/".repeat(20));
    let table = Table::new(&[item(&url, "a\nb\u{1b}[2J")], &COLUMNS).within(None);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "an item is a line: {table}");
    assert_eq!(lines[1], format!("2026-11-26 03:00:04Z  {url}  a b\\u{{1b}}[2J  {MESSAGE}"));
}

#[test]
fn a_list_is_whole_for_whatever_reads_it() {
    let place = Place::new("whole");
    let url = format!("http://127.0.0.1:9/{}", "hooks/".repeat(40));
    place.json(&["endpoint", "create", &url, "--description", "d"]);
    assert!(place.says(&["endpoint", "list"]).contains(&format!("{url}  enabled  all    d")));
}

#[test]
fn a_row_that_does_not_fit_goes_on_in_the_next_line() {
    let table = Table::new(&[item("https://acme.example/hooks", "words")], &COLUMNS);
    let table = table.within(Some(45));
    assert_eq!(
        table,
        format!(
            "TIME                  URL         DESCRIPTION\n  ID\n\
             2026-11-26 03:00:04Z  https://a…  words\n  {MESSAGE}"
        )
    );
}

#[test]
fn columns_stand_below_each_other_where_characters_are_two_places_wide() {
    let items =
        [item("https://a.example", "決済が完了しました"), item("https://b.example", "paid")];
    let table = Table::new(&items, &COLUMNS);
    for (width, description) in [(None, "決済が完了しました"), (Some(82), "決済が完了…")]
    {
        let table = table.within(width);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains(&format!("  {description}  ")), "{table}");
        let before = |line: &str| line.split(MESSAGE).next().unwrap().width();
        assert_eq!(before(lines[1]), before(lines[2]), "{table}");
    }
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal_unless_an_id_is(
        cells in prop::collection::vec((".{0,60}", ".{0,60}"), 1..5),
        width in 1_usize..200,
    ) {
        let items: Vec<Value> = cells.iter().map(|(url, words)| item(url, words)).collect();
        let table = Table::new(&items, &COLUMNS).within(Some(width));
        for line in table.lines() {
            let is_id = line.trim_start() == MESSAGE || line.starts_with("2026");
            let fits = line.width() <= width;
            prop_assert!(fits || (is_id && width < MESSAGE.len() + 2) || width < 20, "{}", line);
        }
        let ids = table.lines().filter(|line| line.ends_with(MESSAGE)).count();
        prop_assert_eq!(ids, items.len(), "{}", table);
    }
}

#[test]
fn the_bill_is_no_wider_than_a_usual_terminal() {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let bill = super::posthorn(place, &["cost", "--messages", "1e9"]).output().unwrap().stdout;
    let bill = String::from_utf8(bill).unwrap();
    // The table: what is said below it breaks where it may.
    for line in bill.lines().take_while(|line| !line.starts_with("AWS prices")) {
        let is_text = line.ends_with(',') || line.ends_with("hang") || line.contains("without ");
        assert!(line.chars().count() <= 80 || is_text, "{line}");
    }
}
