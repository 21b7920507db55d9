//! What is done on a home whose node does not run: taking a rollback knowingly, making a way in, and looking before an upgrade.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::json;
use steward_app_flows::{Look, accept_rollback, check_upgrade, rescue as make_way_in};
use steward_app_node::{
    home::Home,
    system::{SystemClock, SystemDice},
};
use steward_cli::{AcceptArgs, Globals, RescueArgs};
use steward_wire::{Check, Doctor};

use crate::{configuration::Configuration, invocation::command, up, writable::refuse_what_everybody_may_write};

/// Records that a rollback is taken, and under which origin the ledger goes on.
pub(crate) async fn accept(globals: &Globals, arguments: &AcceptArgs) -> Result<()> {
    let home = Home::new(globals.home()?);
    let configuration = Configuration::read(&home.configuration(), |name| std::env::var(name).ok())?;
    let settings = up::settings(&home, &configuration)?;
    let accepted = accept_rollback(&settings, &arguments.reason, Arc::new(SystemClock), Arc::new(SystemDice)).await?;
    if globals.json {
        let said = json!({
            "entry": accepted.entry, "old_origin": accepted.old_origin, "new_origin": accepted.new_origin,
            "lost": {"size": accepted.lost.size, "root": accepted.lost.root.to_base64()}, "kept": accepted.kept,
        });
        println!("{said:#}");
        return Ok(());
    }
    println!(
        "Entry {} says that a head of {} entries was lost, and that {} are kept.\n\
         The ledger goes on under a new origin: {}\n\
         Start the node: {} up\n\
         Whoever kept heads of the old ledger has to know: at each desk `steward login --forget`, with a new login key.",
        accepted.entry,
        accepted.lost.size,
        accepted.kept,
        accepted.new_origin,
        command(home.path()),
    );
    Ok(())
}

/// Makes a log-in key for an administrator, and says what to do with it.
pub(crate) async fn rescue(globals: &Globals, arguments: &RescueArgs) -> Result<()> {
    let home = Home::new(globals.home()?);
    let name = arguments.name.parse().context("NAME")?;
    let configuration = Configuration::read(&home.configuration(), |name| std::env::var(name).ok())?;
    let settings = up::settings(&home, &configuration)?;
    if home.store().exists() {
        up::hold_against_memory(&home)?;
    }
    let (clock, dice) = (Arc::new(SystemClock), Arc::new(SystemDice));
    let made = make_way_in(&settings, &name, &arguments.reason, clock, dice).await?;
    let file = home.login_key();
    if globals.json {
        let said = json!({
            "entry": made.entry, "person": name.as_str(), "key": made.key.to_string(), "expires_at": made.expires_at.to_string(),
            "file": file.display().to_string(),
        });
        println!("{said:#}");
        return Ok(());
    }
    println!(
        "A login key for {name} is in {}: good once, until {}. Entry {} says so.\n\
         Start the node: {command} up\n\
         Then log in: {command} login\n\
         Keys that may be in wrong hands are revoked with: {command} key revoke ID",
        file.display(),
        made.expires_at,
        made.entry,
        command = command(home.path()),
    );
    Ok(())
}

/// Whether this version would start on the home. Tells everything that is in the way.
pub(crate) fn check_before_upgrade(globals: &Globals) -> Result<bool> {
    let home = Home::new(globals.home()?);
    anyhow::ensure!(home.path().is_dir(), "there is no home in `{}`; name one with --home DIR", home.path().display());
    let read = Configuration::read(&home.configuration(), |name| std::env::var(name).ok()).and_then(|configuration| {
        refuse_what_everybody_may_write(&home)?;
        configuration.listen()?;
        configuration.operator()?;
        configuration.log()?;
        up::settings(&home, &configuration)
    });
    let mut looks = Vec::new();
    match read {
        Ok(settings) => {
            let found = Ok(format!("`{}` makes sense", home.configuration().display()));
            looks.push(Look { name: "the configuration can be read", found });
            looks.extend(check_upgrade(&home, &settings.namespace, &SystemClock, &SystemDice));
        }
        Err(error) => looks.push(Look { name: "the configuration can be read", found: Err(format!("{error:#}")) }),
    }
    let is_ready = looks.iter().all(|look| look.found.is_ok());
    if globals.json {
        let checks = looks.into_iter().map(|look| {
            let (status, found) = match look.found {
                Ok(found) => ("ok", found),
                Err(found) => ("failed", found),
            };
            Check { name: look.name.to_owned(), status: status.to_owned(), found, mend: None }
        });
        println!("{}", serde_json::to_string_pretty(&Doctor { checks: checks.collect() }).context("text")?);
    } else {
        for look in looks {
            match look.found {
                Ok(found) => println!("ok      {}: {found}", look.name),
                Err(found) => println!("failed  {}: {found}", look.name),
            }
        }
        let version = env!("CARGO_PKG_VERSION");
        println!(
            "{}",
            if is_ready {
                format!("steward {version} can start here.")
            } else {
                format!("steward {version} can NOT start here.")
            }
        );
    }
    Ok(is_ready)
}
