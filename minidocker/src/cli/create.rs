//! `minidocker create`.

use anyhow::Context;

use super::launch;
use super::make::{Make, make_not_yet};
use super::told::Told;
use super::verb::{Arity, Verb};
use crate::container::Ledger;
use crate::spec::Request;
use crate::store::Store;

/// What was typed behind `create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Create {
    /// What the container is to be.
    #[command(flatten)]
    pub make: Make,
}

impl Verb for Create {
    const ABOUT: &'static str = "Create a new container";
    const USAGE: &'static str = Make::USAGE;
    const NOT_YET: &'static str = make_not_yet!();
    const ARITY: Arity = Arity::Any;

    fn words(&self) -> usize {
        self.make.words.len()
    }

    fn act(self, path: &str) -> anyhow::Result<u8> {
        self.make.demand_image(path)?;
        let (store, base, request) = launch::asked(&self.make, path)?;
        // As in Docker: what the command line can't mean is 125, what can't be made is 1.
        match create(&store, &base, request) {
            Ok(id) => {
                let told = super::show(&format!("{id}\n"));
                told.with_context(|| format!("container {id} is created, and its id can't be told"))
            }
            Err(e) => Ok(Told::one(e)),
        }
    }
}

/// Makes the container, which then waits for `start`; tells its id.
fn create(store: &Store, base: &launch::Base, request: Request) -> anyhow::Result<String> {
    let new = launch::create(store, base, request)?;
    Ledger::open(&new.container.dir)?.change(|state| state.waits = true)?;
    Ok(new.container.id)
}
