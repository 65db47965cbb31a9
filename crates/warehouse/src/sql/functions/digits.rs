//! LogParser's functions of digits: addresses as numbers, hexadecimal texts, numbers rounded to their first digits; and of
//! letters one by one.

use std::net::Ipv4Addr;

use super::rows::{Arg, Out};

/// How long a text may become by repetition.
const REPEATED_BYTES_MAX: usize = 64 << 10;

pub(super) fn ipv4_to_int<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let address: Ipv4Addr = args[0].text().trim().parse().ok()?;
    Some(Out::Int(i64::from(u32::from(address))))
}

pub(super) fn int_to_ipv4<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    Out::text(Ipv4Addr::from(u32::try_from(args[0].int()).ok()?).to_string())
}

/// `12867` and two digits: `12000`.
pub(super) fn floor_to_digit<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let unit = unit(args[0].int(), args[1].int())?;
    Some(Out::Int(args[0].int() / unit * unit))
}

/// `12867` and two digits: `13000`.
pub(super) fn round_to_digit<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let value = args[0].int();
    let unit = unit(value, args[1].int())?;
    let rest = value % unit;
    let away =
        if rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) && rest != 0 { unit * rest.signum() } else { 0 };
    (value - rest).checked_add(away).map(Out::Int)
}

/// What the last digit that is kept counts.
fn unit(value: i64, digits: i64) -> Option<i64> {
    let digits = u32::try_from(digits).ok().filter(|digits| *digits > 0)?;
    let all = value.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    10_i64.checked_pow(all.saturating_sub(digits))
}

pub(super) fn hex_to_int<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let text = args[0].text().trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    i64::from_str_radix(digits, 16).ok().map(Out::Int)
}

/// The bytes as characters; what can't be printed is a dot.
pub(super) fn hex_to_text<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let digits: Vec<u32> =
        args[0].text().chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit));
    let printed = bytes.map(|byte| char::from_u32(byte).filter(|c| c.is_ascii_graphic() || *c == ' ').unwrap_or('.'));
    Out::text(printed.collect::<String>())
}

pub(super) fn rot13<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let turned = |c: char| {
        let Some(first) =
            [b'a', b'A'].into_iter().find(|first| (*first..first + 26).any(|letter| char::from(letter) == c))
        else {
            return c;
        };
        u8::try_from(c).map_or(c, |letter| char::from((letter - first + 13) % 26 + first))
    };
    Out::text(args[0].text().chars().map(turned).collect::<String>())
}

pub(super) fn repeat<'a>(args: &[Arg<'a>]) -> Result<Option<Out<'a>>, String> {
    let (text, times) = (args[0].text(), usize::try_from(args[1].int()).unwrap_or(0));
    match text.len().checked_mul(times) {
        Some(bytes) if bytes <= REPEATED_BYTES_MAX => Ok(Out::text(text.repeat(times))),
        _ => Err(format!("{REPEATED_BYTES_MAX} bytes at most expected, {} times {} found", times, text.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arg::{Int, Text};

    #[test]
    fn first_digits_are_kept() {
        for (value, digits, floor, round) in [
            (12_867, 2, 12_000, 13_000),
            (12_867, 5, 12_867, 12_867),
            (7, 3, 7, 7),
            (0, 1, 0, 0),
            (-1_250, 2, -1_200, -1_300),
        ] {
            let args = [Int(value), Int(digits)];
            assert_eq!((floor_to_digit(&args), round_to_digit(&args)), (Some(Out::Int(floor)), Some(Out::Int(round))));
        }
        assert_eq!(floor_to_digit(&[Int(5), Int(0)]), None);
        assert_eq!(round_to_digit(&[Int(i64::MAX), Int(5)]), None);
    }

    #[test]
    fn addresses_and_letters_are_numbers() {
        assert_eq!(ipv4_to_int(&[Text("203.0.113.1")]), Some(Out::Int(3_405_803_777)));
        assert_eq!(int_to_ipv4(&[Int(3_405_803_777)]), Out::text("203.0.113.1"));
        assert_eq!(int_to_ipv4(&[Int(-1)]), None);
        assert_eq!(hex_to_int(&[Text("0xFF")]), Some(Out::Int(255)));
        assert_eq!(hex_to_text(&[Text("4869 0021")]), Out::text("Hi.!"));
        assert_eq!(rot13(&[Text("Hello, ü")]), Out::text("Uryyb, ü"));
    }

    #[test]
    fn repetition_has_an_end() {
        assert_eq!(repeat(&[Text("ab"), Int(3)]), Ok(Out::text("ababab")));
        assert_eq!(repeat(&[Text("ab"), Int(-3)]), Ok(Out::text("")));
        assert!(repeat(&[Text("ab"), Int(i64::MAX)]).is_err());
    }
}
