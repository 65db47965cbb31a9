//! Where addresses are, from a file in MaxMind's format.
//!
//! Two layouts of records are read. MaxMind's and DB-IP's nest: `country.iso_code`, `subdivisions[0].names.en`,
//! `city.names.en`. Those of ip-location-db are flat: `country_code`, `state1`, `city`.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use visitlog_core::model::{CountryCode, Place};

/// A database of places.
pub(crate) struct Places {
    reader: Reader<Cow<'static, [u8]>>,
}

/// A record, in whichever of the two layouts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Record<'a> {
    country_code: Option<&'a str>,
    state1: Option<&'a str>,
    country: Option<Country<'a>>,
    registered_country: Option<Country<'a>>,
    subdivisions: Option<Vec<Region<'a>>>,
    city: Option<City<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Region<'a> {
    iso_code: Option<&'a str>,
    names: Option<Names<'a>>,
}

/// A city is a name in one layout, names by language in the other.
#[derive(Debug)]
enum City<'a> {
    Flat(&'a str),
    Nested(Option<&'a str>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Named<'a> {
    names: Option<Names<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for City<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = City<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a city's name, or its names by language")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(City::Flat(name))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let named = Named::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(City::Nested(named.names.and_then(|names| names.en)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Places {
    /// A database in memory.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn embedded(bytes: &'static [u8]) -> Result<Self, MaxMindDbError> {
        Ok(Self { reader: Reader::from_source(Cow::Borrowed(bytes))? })
    }

    /// A database in a file, which is read whole: it may be replaced while it is in use.
    ///
    /// # Errors
    /// When it can't be read, or is no such database.
    pub(crate) fn open(path: &Path) -> Result<Self, MaxMindDbError> {
        let bytes = std::fs::read(path).map_err(MaxMindDbError::Io)?;
        Ok(Self { reader: Reader::from_source(Cow::Owned(bytes))? })
    }

    /// What the database calls itself.
    pub(crate) fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// Where an address is. What is damaged, or of another layout, is nowhere.
    pub(crate) fn place(&self, address: IpAddr) -> Option<Place> {
        // As IPv6 sockets name clients of IPv4.
        let address = address.to_canonical();
        let record: Record<'_> = self.reader.lookup(address).ok()?.decode().ok()??;
        let nested = [record.country, record.registered_country].into_iter().flatten().find_map(|c| c.iso_code);
        let region = record.subdivisions.and_then(|all| all.into_iter().next());
        let region = region.and_then(|region| region.names.and_then(|names| names.en).or(region.iso_code));
        let city = record.city.and_then(|city| match city {
            City::Flat(name) => Some(name),
            City::Nested(name) => name,
        });
        Place::new(nested.or(record.country_code).and_then(CountryCode::new), region.or(record.state1), city)
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("kind", &self.kind()).finish_non_exhaustive()
    }
}
