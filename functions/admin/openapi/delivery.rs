//! How deliveries and endpoints are doing: what the portal and the console show.

use description::{
    Caller, Description, WINDOW, boolean, choice, describe, moment, name, page, text,
};
use shared::domain::id::{EndpointId, MessageId};

use crate::delivery::DeliveryOut;
use crate::explain::ExplainOut;
use crate::failing::{FailingOut, FoundOut};
use crate::health::EndpointHealth;
use crate::missing::MissingOut;
use crate::overview::EndpointOverview;
use crate::page::Page;
use crate::portal_settings::{ApplicationPortalOut, PortalSettingsIn, PortalSettingsOut};
use crate::search::MAX_TEXT;
use crate::sent::SentOut;
use crate::standing::STATES;

pub(super) fn descriptions() -> Vec<Description> {
    vec![
        describe("posthorn.application.health", "See how an application's endpoints are doing")
            .detail(
                "State, last success, last error, error rate and a picture of the last 24 hours \
                 of each endpoint, at most 50 a page, made of its latest attempts: at most 60 \
                 each, and 1,000 in all. Costs one read of the index for each endpoint, up to 15 \
                 read units where answers are long; up to four where deliveries stand before the \
                 attempts that wait for their first.",
            )
            .query(page(EndpointId::PREFIX))
            .answers::<Page<EndpointHealth>>(200, "A page"),
        describe("posthorn.endpoint.health", "See how an endpoint is doing")
            .detail(
                "Its state, last success, last error, error rate, a chart of the last 24 hours and \
                 its next try, all of its latest 60 attempts: 8 read units at most where answers \
                 are short, or four times as many where deliveries stand before them that wait for \
                 their first attempt.",
            )
            .answers::<EndpointHealth>(200, "The endpoint"),
        describe("posthorn.endpoint.overview", "See an endpoint, and what it was last sent")
            .detail(
                "The endpoint, its health and the messages of its latest 8 attempts, for less than \
                 the three cost one by one: 9 read units at most where answers are short and the \
                 application has few endpoints.",
            )
            .answers::<EndpointOverview>(200, "The endpoint"),
        describe("posthorn.delivery.list", "List messages and how far they are")
            .detail(
                "Newest first. With `endpoint_id` those that were sent to that endpoint, by \
                 their latest attempt. With `q` those that the search for messages finds. One read \
                 for each message on the page, and what the search costs; more where a message has \
                 many attempts. A page may be short before the list is `done`: go on from it.",
            )
            .query(page(MessageId::PREFIX))
            .query(WINDOW)
            .query([
                choice("state", &STATES, "Only messages in this state."),
                name("endpoint_id", 256, "Only messages that were sent to this endpoint."),
                text("q", MAX_TEXT, "Only messages that this finds; not with `endpoint_id`."),
                boolean("in_payload", "Whether `q` is looked for in payloads as well."),
            ])
            .answers::<Page<DeliveryOut>>(200, "A page"),
        describe("posthorn.message.explain", "See why a message went where it went")
            .detail(
                "For each endpoint of the application, rule by rule: why the message went there \
                 or not, what it waits for, when the next try is, and why it failed, in words.",
            )
            .answers::<ExplainOut>(200, "The explanation"),
        describe("posthorn.message-attempt.request", "See an attempt's request as it was sent")
            .detail("Made anew of what is on record; secrets and signatures are left out.")
            .answers::<SentOut>(200, "The request, and what was answered"),
        describe("posthorn.endpoint.failing", "List failing endpoints of all applications")
            .caller(Caller::Organisation)
            .detail(
                "Those that fail deliveries more than once in a row, since their last success. \
                 Two reads for each, at most 50 a page.",
            )
            .query(page(EndpointId::PREFIX))
            .answers::<Page<FailingOut>>(200, "A page"),
        describe("posthorn.endpoint.missing", "Count what an endpoint was never sent")
            .detail(
                "Among the latest 500 messages that it wants now, of the last 14 days at most: \
                 those that `replay-missing` would send. Made of two lists, about 60 read units \
                 where both are full; what is younger than a minute is under way.",
            )
            .query([moment("after", "Only messages from then on.")])
            .answers::<MissingOut>(200, "How many, and of how many"),
        describe("posthorn.message.find", "Find the application of a message")
            .caller(Caller::Organisation)
            .answers::<FoundOut>(200, "Where it is"),
        describe("posthorn.application.portal", "See whose portal it is, and how it looks")
            .answers::<ApplicationPortalOut>(200, "The name and the settings"),
        describe("posthorn.portal.get-settings", "See how the portal looks")
            .caller(Caller::Organisation)
            .answers::<PortalSettingsOut>(200, "The settings"),
        describe("posthorn.portal.put-settings", "Change how the portal looks")
            .caller(Caller::Organisation)
            .detail(
                "Theme, accent, font and logo, and whose pages may show it in a frame. \
                 Processes remember the old ones for half a minute.",
            )
            .takes::<PortalSettingsIn>()
            .answers::<PortalSettingsOut>(200, "The settings"),
    ]
}
