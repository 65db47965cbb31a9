//! Tickets: what names something that waits for its visitor, in a cookie.

/// Names what waits, in its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u128);

impl Ticket {
    /// A new one; `None` if there is no entropy to be had.
    pub(crate) fn draw() -> Option<Self> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).ok()?;
        Some(Self(u128::from_be_bytes(bits)))
    }

    /// As its cookie has it.
    pub(crate) fn text(self) -> String {
        format!("{:032x}", self.0)
    }

    /// Out of its cookie.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok().filter(|text| text.len() == 32)?;
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_reads_as_it_was_written() {
        let ticket = Ticket::draw().expect("entropy");
        assert_eq!(Ticket::parse(ticket.text().as_bytes()), Some(ticket));
        for bad in [&b""[..], b"x", b"\xff", &[b'f'; 33]] {
            assert_eq!(Ticket::parse(bad), None);
        }
    }
}
