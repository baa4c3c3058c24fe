//! A request whose texts are longer than the database keeps, with these texts cut. Pure; runs on the compactor.

use super::cut;
use crate::event::{Code, DetailSink, Limit, NAME_BYTES_MAX, Notes};
use crate::record::id::Id;
use crate::record::request::RequestRecord;
use std::borrow::Cow;
use std::cell::RefCell;

/// The request, and its texts as the database keeps them, in the order in which [`crate::Request::map`] goes over them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CutRequest<'a> {
    whole: RequestRecord<'a>,
    texts: Vec<Cow<'a, str>>,
}

impl<'a> CutRequest<'a> {
    /// Cuts the texts that are too long.
    pub(crate) fn new(whole: RequestRecord<'a>) -> Self {
        let texts = RefCell::new(Vec::new());
        let cut_id = |id: Id<'a>| {
            if let Id::Text(text) = id {
                texts.borrow_mut().push(cut::id(Cow::Borrowed(text)));
            }
            id
        };
        let _ = whole.map(cut_id, |limit, text| {
            texts.borrow_mut().push(cut::text(text, limit));
            text
        });
        Self { whole, texts: texts.into_inner() }
    }

    /// The request with the texts as the database keeps them.
    pub(crate) fn record(&self) -> RequestRecord<'_> {
        // In the order in which they were cut.
        let texts = RefCell::new(self.texts.iter());
        let next = || texts.borrow_mut().next().map(|text| &**text).unwrap_or_default();
        self.whole.map(|id| if matches!(id, Id::Text(_)) { Id::Text(next()) } else { id }, |_, _| next())
    }
}

/// Whether all texts of a request fit. The characters of a message are counted only where there may be too many.
pub(crate) fn fits(request: &RequestRecord<'_>) -> bool {
    let mut check = FitCheck { all_fit: true };
    check.id("request_id", Some(request.request_id));
    check.id("session_id", request.session_id);
    for name in [Some(request.proxy), Some(request.method), request.tool] {
        check.text("name", Limit::Bytes(NAME_BYTES_MAX), name);
    }
    request.put_details(&mut check);
    check.all_fit
}

/// Whether all texts fit so far.
struct FitCheck {
    all_fit: bool,
}

impl<'a> DetailSink<'a, Id<'a>> for FitCheck {
    fn id(&mut self, _name: &'static str, value: Option<Id<'a>>) {
        self.all_fit &= value.is_none_or(|id| cut::id_fits(&id));
    }

    fn text(&mut self, _name: &'static str, limit: Limit, value: Option<&'a str>) {
        self.all_fit &= value.is_none_or(|text| cut::fits(text, limit));
    }

    fn number(&mut self, _name: &'static str, _value: Option<i64>) {}
    fn short(&mut self, _name: &'static str, _value: Option<u16>) {}
    fn flag(&mut self, _name: &'static str, _value: Option<bool>) {}
    fn code<C: Code>(&mut self, _name: &'static str, _value: Option<C>) {}
    fn bytes<const N: usize>(&mut self, _name: &'static str, _value: Option<[u8; N]>) {}
    fn notes(&mut self, _name: &'static str, _value: Notes) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;
    use crate::event::any::with_any_details;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_fits_is_kept_as_it_is(details in any::<u64>()) {
            let mut request = Request::new("id", 1, "proxy", "ping");
            request.session_id = Some("session");
            with_any_details(&mut request, details);
            let record = request.map(Id::new, |_, text| text);
            prop_assert!(fits(&record));
            let kept = CutRequest::new(record);
            prop_assert_eq!(kept.record(), record);
        }
    }

    #[test]
    fn each_text_and_id_that_is_too_long_is_cut_and_nothing_else() {
        let long = "x".repeat(3000);
        let mut fields = 0;
        // Each text in turn is too long, and the others are short.
        loop {
            let mut at = 0;
            let mut longer = |text| {
                at += 1;
                if at == fields + 1 { &*long } else { text }
            };
            let mut request = Request::new("id", 1, "proxy", "ping");
            (request.session_id, request.tool, request.retry_of) = (Some("s"), Some("t"), Some("r"));
            for text in [
                &mut request.error_code,
                &mut request.error_msg,
                &mut request.target,
                &mut request.protocol_version,
                &mut request.rpc_id,
                &mut request.endpoint,
                &mut request.cause,
                &mut request.principal,
            ] {
                *text = Some("short");
            }
            let longer = RefCell::new(&mut longer);
            let request = request.map(|id| Id::new((longer.borrow_mut())(id)), |_, text| (longer.borrow_mut())(text));
            if at == fields {
                break;
            }
            fields += 1;
            assert!(!fits(&request), "{request:?}");
            let cut = CutRequest::new(request);
            let lengths = RefCell::new(Vec::new());
            let note = |text: &str| lengths.borrow_mut().push(text.len());
            let _ = cut.record().map(
                |id| note(&id.text()),
                |_, text| {
                    note(text);
                    text
                },
            );
            let cut_to: Vec<_> = lengths.into_inner().into_iter().filter(|length| *length > 36).collect();
            assert_eq!(cut_to.len(), 1, "{cut:?}");
            assert!(cut_to[0] < 3000);
        }
        assert_eq!(fields, 14, "3 ids, 3 names, 8 details");
    }
}
