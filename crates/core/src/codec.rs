//! The bytes of a session's entries, version 1.3: what journals, parks and other keepers of visits write. This page is
//! their specification.
//!
//! Integers named `u16`..`u64` are varints: seven bits a byte, lowest first, the top bit set in all but the last byte.
//! A *moment* is microseconds since 1970 as 8 little-endian bytes, an *id* 16 little-endian bytes. A *text* is a varint
//! length and that many bytes of UTF-8; *JSON* is the same with a length of 4 little-endian bytes. *\[x\]* may be
//! missing: a bit says so.
//!
//! | kind | payload |
//! |---|---|
//! | `Start` | moment, partition u8, identity u8, fingerprint 8 bytes, visitor id, number, new-visitor u8 (0 no, 1 yes, 2 unknown), via u8, bits, text host, [id previous 0], [address 1: 4 or 6 as a byte, then 4 or 16 bytes], [text user agent 2], [text language 3], [text referrer 4], [country: 2 letters 5], [text region 6], [text city 7], [hints 8], [mark of the token that it renews, 8 bytes 9], [id of the session that it brings events from, first, count 10] |
//! | `Event` | moment, kind u8, bits, [status, duration in us 3], [bytes 7], [text name 0], [text type 1], [JSON properties 2], and where bit 3 (a request) is set: text path, text method, [text host 4], [text query 5], [text route 6], [text referrer 8] |
//! | `Set` | moment, count, then each: text key, u8 (0 removed, 1 set), JSON if set |
//! | `Touch` | moment, u8 slides |
//! | `Rotate` | moment, rotation, u8 has user, [text user] |
//! | `Withdraw` | moment, first, count |
//! | `End` | moment closed, moment ended, reason u8, confirmed u8, text site, u8 has user, [text user], count, then each: text key, JSON |
//!
//! **Minor versions.** 1.1 added to `Start` what stands behind its referrer (bits 5 to 8): where the whole address was
//! found, and as a varint the bits of [`Hints`]. 1.2 added the mark of the token that a `Start` renews (bit 9). 1.3 added what it brings (bit 10),
//! and `Withdraw`.
//!
//! **Room for later.** A newer minor version adds fields behind those it found, with bits of their own. So bytes left
//! over behind the known fields, and unknown bits, are ignored; unknown codes of kinds and reasons are errors, since
//! to guess what an event was would be wrong.
//!
//! Decoding never panics, whatever the bytes, and allocates no more than they justify.

pub mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Brings, CountryCode, End, EndReason, Entry, Event, EventKind, Fields, Hints, Identity, Place, RequestFacts, Start,
    StartFacts, UserId, Values, Via,
};
use crate::{Fingerprint, Host, Timestamp, TokenMark, VisitId, VisitorId};
use serde_json::Value;

pub use self::wire::CodecError;
use self::wire::{Input, put_bytes, put_moment, put_u64, put_u128, put_varint};

/// What an entry is, as a byte says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// [`Entry::Start`].
    Start = 1,
    /// [`Entry::Event`].
    Event = 2,
    /// [`Entry::Set`].
    Set = 3,
    /// [`Entry::Touch`].
    Touch = 4,
    /// [`Entry::Rotate`].
    Rotate = 5,
    /// [`Entry::End`].
    End = 6,
    /// [`Entry::Withdraw`].
    Withdraw = 7,
}

impl EntryKind {
    /// That of an entry.
    pub const fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Start(_) => Self::Start,
            Entry::Event(_) => Self::Event,
            Entry::Set { .. } => Self::Set,
            Entry::Touch { .. } => Self::Touch,
            Entry::Rotate { .. } => Self::Rotate,
            Entry::End(_) => Self::End,
            Entry::Withdraw { .. } => Self::Withdraw,
        }
    }

    /// The kind with this code.
    ///
    /// # Errors
    /// When there is none.
    pub const fn from_code(code: u8) -> Result<Self, CodecError> {
        Ok(match code {
            1 => Self::Start,
            2 => Self::Event,
            3 => Self::Set,
            4 => Self::Touch,
            5 => Self::Rotate,
            6 => Self::End,
            7 => Self::Withdraw,
            _ => return Err(CodecError::Code { what: "kind", found: code as u64 }),
        })
    }
}

/// Appends an entry's payload to a buffer.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Event(event) => put_event(out, event),
        Entry::Start(start) => put_start(out, start),
        Entry::Set { at, fields } => {
            put_moment(out, *at);
            put_varint(out, fields.len() as u64);
            for (key, value) in fields {
                put_bytes(out, key.as_bytes());
                out.push(u8::from(value.is_some()));
                if let Some(value) = value {
                    put_json(out, value);
                }
            }
        }
        Entry::Touch { at, slides } => {
            put_moment(out, *at);
            out.push(u8::from(*slides));
        }
        Entry::Rotate { at, rotation, user } => {
            put_moment(out, *at);
            put_varint(out, u64::from(*rotation));
            put_user(out, user.as_ref());
        }
        Entry::Withdraw { at, first, count } => {
            put_moment(out, *at);
            put_varint(out, u64::from(*first));
            put_varint(out, u64::from(*count));
        }
        Entry::End(end) => put_end(out, end),
    }
}

/// Reads an entry back. Bytes behind its known fields are ignored.
///
/// # Errors
/// When the payload can't be understood.
pub fn decode(kind: EntryKind, payload: &[u8]) -> Result<Entry, CodecError> {
    decode_after(kind, payload, &mut Before::default())
}

/// What entries that are decoded one after the other mostly have in common: it is kept once.
#[derive(Debug, Default)]
pub struct Before {
    host: Option<Host>,
    no_values: Arc<Values>,
}

impl Before {
    fn host(&mut self, text: &str) -> Host {
        match &self.host {
            Some(host) if host.as_str() == text => host.clone(),
            _ => self.host.insert(Host::from_record(text)).clone(),
        }
    }
}

/// The same for one of many.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_after(kind: EntryKind, payload: &[u8], before: &mut Before) -> Result<Entry, CodecError> {
    let mut input = Input::new(payload);
    Ok(match kind {
        EntryKind::Event => Entry::Event(take_event(&mut input, before)?),
        EntryKind::Start => Entry::Start(Box::new(take_start(&mut input, before)?)),
        EntryKind::Set => Entry::Set { at: input.moment()?, fields: take_fields(&mut input)? },
        EntryKind::Touch => Entry::Touch { at: input.moment()?, slides: input.flag("slides")? },
        EntryKind::Rotate => {
            Entry::Rotate { at: input.moment()?, rotation: input.small("rotation")?, user: take_user(&mut input)? }
        }
        EntryKind::Withdraw => {
            Entry::Withdraw { at: input.moment()?, first: input.small("first")?, count: input.small("count")? }
        }
        EntryKind::End => Entry::End(Box::new(take_end(&mut input, before)?)),
    })
}

/// The same with all of the payload read, but what recovery has no use for left out: of an event it keeps when it was.
/// An event's moment is that of its activity then.
///
/// # Errors
/// Those of [`decode`].
pub fn skim(kind: EntryKind, payload: &[u8]) -> Result<Entry, CodecError> {
    match kind {
        EntryKind::Event => Ok(Entry::Event(skim_event(&mut Input::new(payload))?)),
        _ => decode(kind, payload),
    }
}

/// The moment that an entry stands for, without decoding the rest: an event's activity, an end's closing.
pub fn moment(kind: EntryKind, payload: &[u8]) -> Option<Timestamp> {
    let mut input = Input::new(payload);
    match kind {
        EntryKind::Event => {
            let time = input.moment().ok()?;
            input.u8("kind").ok()?;
            if input.varint("bits").ok()? & event_bits::REQUEST == 0 {
                return Some(time);
            }
            input.varint("status").ok()?;
            Some(time.after(Duration::from_micros(input.varint("duration").ok()?)))
        }
        EntryKind::Start
        | EntryKind::Set
        | EntryKind::Touch
        | EntryKind::Rotate
        | EntryKind::Withdraw
        | EntryKind::End => input.moment().ok(),
    }
}

mod event_bits {
    pub(super) const NAME: u64 = 1;
    pub(super) const TYPE: u64 = 1 << 1;
    pub(super) const PROPERTIES: u64 = 1 << 2;
    pub(super) const REQUEST: u64 = 1 << 3;
    pub(super) const HOST: u64 = 1 << 4;
    pub(super) const QUERY: u64 = 1 << 5;
    pub(super) const ROUTE: u64 = 1 << 6;
    pub(super) const BYTES: u64 = 1 << 7;
    pub(super) const REFERRER: u64 = 1 << 8;
}

fn bit(set: bool, bit: u64) -> u64 {
    if set { bit } else { 0 }
}

fn put_event(out: &mut Vec<u8>, event: &Event) {
    use event_bits as b;
    put_moment(out, event.time);
    out.push(event_code(event.kind));
    let mut bits = bit(event.name.is_some(), b::NAME)
        | bit(event.type_.is_some(), b::TYPE)
        | bit(event.properties.is_some(), b::PROPERTIES);
    if let Some(request) = &event.request {
        bits |= b::REQUEST
            | bit(request.host.is_some(), b::HOST)
            | bit(request.query.is_some(), b::QUERY)
            | bit(request.route.is_some(), b::ROUTE)
            | bit(request.bytes.is_some(), b::BYTES)
            | bit(request.referrer.is_some(), b::REFERRER);
    }
    put_varint(out, bits);
    if let Some(request) = &event.request {
        put_varint(out, u64::from(request.status));
        put_varint(out, request.duration_us);
        if let Some(bytes) = request.bytes {
            put_varint(out, bytes);
        }
    }
    for text in [&event.name, &event.type_].into_iter().flatten() {
        put_bytes(out, text.as_bytes());
    }
    if let Some(properties) = &event.properties {
        out.extend_from_slice(&(properties.len() as u32).to_le_bytes());
        out.extend_from_slice(properties.as_bytes());
    }
    if let Some(request) = &event.request {
        put_bytes(out, request.path.as_bytes());
        put_bytes(out, request.method.as_bytes());
        if let Some(host) = &request.host {
            put_bytes(out, host.as_str().as_bytes());
        }
        for text in [&request.query, &request.route, &request.referrer].into_iter().flatten() {
            put_bytes(out, text.as_bytes());
        }
    }
}

fn take_event(input: &mut Input<'_>, before: &mut Before) -> Result<Event, CodecError> {
    use event_bits as b;
    let time = input.moment()?;
    let kind = event_of(input.u8("kind of event")?)?;
    let bits = input.varint("bits")?;
    let has = |bit: u64| bits & bit != 0;
    let request = has(b::REQUEST);
    let (mut status, mut duration_us, mut bytes) = (0, 0, None);
    if request {
        status = u16::try_from(input.varint("status")?).unwrap_or(u16::MAX);
        duration_us = input.varint("duration")?;
        if has(b::BYTES) {
            bytes = Some(input.varint("bytes")?);
        }
    }
    let name = input.text_if(has(b::NAME), "name")?;
    let type_ = input.text_if(has(b::TYPE), "type")?;
    let properties = if has(b::PROPERTIES) { Some(input.long_text("properties")?.into()) } else { None };
    let request = if request {
        let path = input.text("path")?.into();
        let method = input.text("method")?.into();
        let host = if has(b::HOST) { Some(before.host(input.text("host")?)) } else { None };
        Some(Box::new(RequestFacts {
            host,
            path,
            query: input.text_if(has(b::QUERY), "query")?,
            route: input.text_if(has(b::ROUTE), "route")?,
            method,
            status,
            duration_us,
            bytes,
            referrer: input.text_if(has(b::REFERRER), "referrer")?,
        }))
    } else {
        None
    };
    Ok(Event { time, kind, name, type_, request, properties })
}

/// Reads all that [`take_event`] reads, and takes no memory for it.
fn skim_event(input: &mut Input<'_>) -> Result<Event, CodecError> {
    use event_bits as b;
    let mut time = input.moment()?;
    let kind = event_of(input.u8("kind of event")?)?;
    let bits = input.varint("bits")?;
    let has = |bit: u64| bits & bit != 0;
    let request = has(b::REQUEST);
    if request {
        input.varint("status")?;
        time = time.after(Duration::from_micros(input.varint("duration")?));
        if has(b::BYTES) {
            input.varint("bytes")?;
        }
    }
    for (bit, what) in [(b::NAME, "name"), (b::TYPE, "type")] {
        if has(bit) {
            input.text(what)?;
        }
    }
    if has(b::PROPERTIES) {
        input.long_text("properties")?;
    }
    if request {
        input.text("path")?;
        input.text("method")?;
        for (bit, what) in [(b::HOST, "host"), (b::QUERY, "query"), (b::ROUTE, "route"), (b::REFERRER, "referrer")] {
            if has(bit) {
                input.text(what)?;
            }
        }
    }
    Ok(Event { time, kind, name: None, type_: None, request: None, properties: None })
}

mod start_bits {
    pub(super) const PREVIOUS: u64 = 1;
    pub(super) const ADDRESS: u64 = 1 << 1;
    pub(super) const USER_AGENT: u64 = 1 << 2;
    pub(super) const LANGUAGE: u64 = 1 << 3;
    pub(super) const REFERRER: u64 = 1 << 4;
    pub(super) const COUNTRY: u64 = 1 << 5;
    pub(super) const REGION: u64 = 1 << 6;
    pub(super) const CITY: u64 = 1 << 7;
    pub(super) const HINTS: u64 = 1 << 8;
    pub(super) const RENEWS: u64 = 1 << 9;
    pub(super) const BRINGS: u64 = 1 << 10;
}

fn put_start(out: &mut Vec<u8>, start: &Start) {
    use start_bits as b;
    let facts = &start.facts;
    let place = facts.place.as_ref();
    put_moment(out, start.at);
    out.push(start.partition);
    out.push(identity_code(start.identity));
    put_u64(out, start.fingerprint.0);
    put_u128(out, facts.visitor_id.as_u128());
    put_varint(out, u64::from(start.number));
    out.push(match start.is_new_visitor {
        Some(false) => 0,
        Some(true) => 1,
        None => 2,
    });
    out.push(via_code(facts.via));
    put_varint(
        out,
        bit(start.previous.is_some(), b::PREVIOUS)
            | bit(facts.ip.expose().is_some(), b::ADDRESS)
            | bit(facts.user_agent.expose().is_some(), b::USER_AGENT)
            | bit(facts.language.is_some(), b::LANGUAGE)
            | bit(facts.referrer.is_some(), b::REFERRER)
            | bit(place.is_some_and(|place| place.country.is_some()), b::COUNTRY)
            | bit(place.is_some_and(|place| place.region.is_some()), b::REGION)
            | bit(place.is_some_and(|place| place.city.is_some()), b::CITY)
            | bit(facts.hints.is_some(), b::HINTS)
            | bit(start.renews.is_some(), b::RENEWS)
            | bit(start.brings.is_some(), b::BRINGS),
    );
    put_bytes(out, start.host.as_str().as_bytes());
    if let Some(previous) = start.previous {
        put_u128(out, previous.as_u128());
    }
    match facts.ip.expose() {
        Some(IpAddr::V4(ip)) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
        None => {}
    }
    for text in [facts.user_agent.expose(), &facts.language, &facts.referrer].into_iter().flatten() {
        put_bytes(out, text.as_bytes());
    }
    if let Some(place) = place {
        out.extend_from_slice(place.country.as_ref().map_or("", CountryCode::as_str).as_bytes());
        for name in [&place.region, &place.city].into_iter().flatten() {
            put_bytes(out, name.as_bytes());
        }
    }
    if let Some(hints) = facts.hints {
        put_varint(out, u64::from(hints.bits()));
    }
    if let Some(TokenMark(mark)) = start.renews {
        put_u64(out, mark);
    }
    if let Some(Brings { from, first, count }) = start.brings {
        put_u128(out, from.as_u128());
        put_varint(out, u64::from(first));
        put_varint(out, u64::from(count));
    }
}

fn take_start(input: &mut Input<'_>, before: &mut Before) -> Result<Start, CodecError> {
    use start_bits as b;
    let at = input.moment()?;
    let partition = input.u8("partition")?;
    let identity = identity_of(input.u8("identity")?)?;
    let fingerprint = Fingerprint(input.u64("fingerprint")?);
    let visitor_id = VisitorId::from_u128(input.u128("visitor id")?);
    let number = u32::try_from(input.varint("number")?).unwrap_or(u32::MAX);
    let is_new_visitor = match input.u8("new visitor")? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    let via = via_of(input.u8("via")?)?;
    let bits = input.varint("bits")?;
    let has = |bit: u64| bits & bit != 0;
    let host = before.host(input.text("host")?);
    let previous = if has(b::PREVIOUS) { Some(VisitId::from_u128(input.u128("previous visit")?)) } else { None };
    let ip = if has(b::ADDRESS) { Some(input.address()?) } else { None };
    let facts = StartFacts {
        visitor_id,
        ip: ip.into(),
        user_agent: input.text_if(has(b::USER_AGENT), "user agent")?.into(),
        language: input.text_if(has(b::LANGUAGE), "language")?,
        referrer: input.text_if(has(b::REFERRER), "referrer")?,
        via,
        place: take_place(input, bits)?,
        hints: if has(b::HINTS) { Some(take_hints(input)?) } else { None },
    };
    let renews = if has(b::RENEWS) { Some(TokenMark(input.u64("mark of a token")?)) } else { None };
    let brings = if has(b::BRINGS) { Some(take_brings(input)?) } else { None };
    Ok(Start { at, partition, identity, host, fingerprint, previous, renews, brings, number, is_new_visitor, facts })
}

fn take_brings(input: &mut Input<'_>) -> Result<Brings, CodecError> {
    let from = VisitId::from_u128(input.u128("session that events are from")?);
    Ok(Brings { from, first: input.small("first")?, count: input.small("count")? })
}

fn take_place(input: &mut Input<'_>, bits: u64) -> Result<Option<Place>, CodecError> {
    use start_bits as b;
    let has = |bit: u64| bits & bit != 0;
    if !has(b::COUNTRY) && !has(b::REGION) && !has(b::CITY) {
        return Ok(None);
    }
    let country = if has(b::COUNTRY) {
        let letters = std::str::from_utf8(input.take(2, "country")?).ok();
        Some(letters.and_then(CountryCode::new).ok_or(CodecError::Text { what: "country" })?)
    } else {
        None
    };
    let region = input.text_if(has(b::REGION), "region")?;
    Ok(Some(Place { country, region, city: input.text_if(has(b::CITY), "city")? }))
}

/// Bits beyond those that there is room for are of a newer version.
fn take_hints(input: &mut Input<'_>) -> Result<Hints, CodecError> {
    Ok(Hints::from_bits(input.varint("hints")? as u16))
}

fn take_fields(input: &mut Input<'_>) -> Result<Fields, CodecError> {
    let count = input.count(2, "fields")?;
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let key: Arc<str> = input.text("key")?.into();
        let value = if input.flag("whether set")? { Some(take_json(input)?) } else { None };
        fields.push((key, value));
    }
    Ok(fields)
}

fn put_end(out: &mut Vec<u8>, end: &End) {
    put_moment(out, end.closed_at);
    put_moment(out, end.ended_at);
    out.push(end_code(end.reason));
    out.push(u8::from(end.confirmed));
    put_bytes(out, end.site.as_bytes());
    put_user(out, end.user.as_ref());
    put_varint(out, end.values.len() as u64);
    for (key, value) in end.values.iter() {
        put_bytes(out, key.as_bytes());
        put_json(out, value);
    }
}

fn take_end(input: &mut Input<'_>, before: &mut Before) -> Result<End, CodecError> {
    let closed_at = input.moment()?;
    let ended_at = input.moment()?;
    let reason = end_of(input.u8("reason")?)?;
    let confirmed = input.flag("confirmed")?;
    let site = input.text("site")?.into();
    let user = take_user(input)?;
    let count = input.count(5, "values")?;
    let mut values = Values::new();
    for _ in 0..count {
        let key: Arc<str> = input.text("key")?.into();
        values.insert(key, take_json(input)?);
    }
    let values = if count == 0 { Arc::clone(&before.no_values) } else { Arc::new(values) };
    Ok(End { reason, ended_at, closed_at, site, confirmed, user, values })
}

fn put_user(out: &mut Vec<u8>, user: Option<&UserId>) {
    out.push(u8::from(user.is_some()));
    if let Some(user) = user {
        put_bytes(out, user.as_str().as_bytes());
    }
}

fn take_user(input: &mut Input<'_>) -> Result<Option<UserId>, CodecError> {
    Ok(if input.flag("whether a user")? { Some(UserId(input.text("user")?.into())) } else { None })
}

fn put_json(out: &mut Vec<u8>, value: &Value) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, value).expect("a JSON value goes into memory");
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// A value that was nested too deeply for the parser comes back as its text: no chain is lost to one value.
fn take_json(input: &mut Input<'_>) -> Result<Value, CodecError> {
    let text = input.long_text("value")?;
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
}

macro_rules! codes {
    ($what:literal, $type:ty, $code_of:ident, $of_code:ident, { $($variant:ident = $code:literal),* $(,)? }) => {
        /// The code of it.
        pub const fn $code_of(value: $type) -> u8 {
            match value {
                $(<$type>::$variant => $code,)*
            }
        }

        /// What has this code.
        ///
        /// # Errors
        /// When nothing has.
        pub const fn $of_code(code: u8) -> Result<$type, CodecError> {
            match code {
                $($code => Ok(<$type>::$variant),)*
                _ => Err(CodecError::Code { what: $what, found: code as u64 }),
            }
        }
    };
}

codes!("kind of event", EventKind, event_code, event_of, {
    PageView = 1, PageError = 2, Action = 3, Login = 4, Logout = 5, Request = 6,
});
codes!("identity", Identity, identity_code, identity_of, { Cookie = 1, Fingerprint = 2, Import = 3 });
codes!("via", Via, via_code, via_of, { Tower = 1, Proxy = 2, Log = 3, Collector = 4 });
codes!("reason", EndReason, end_code, end_of, {
    Expired = 1, Abandoned = 2, LoggedOut = 3, MaxAge = 4, Superseded = 5, Terminated = 6, MaxEvents = 7, Evicted = 8,
});
