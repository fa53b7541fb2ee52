//! A failure at any step, for the tests: `MINIDOCKER_FAIL_STEP=<name>` in debug builds.

use super::StepKind;

/// Enters a step: later system calls belong to it. Fails if the tests want this one to fail.
pub(super) fn enter(step: StepKind) -> Result<(), String> {
    sys::context(step.name(), step.section());
    if cfg!(debug_assertions)
        && std::env::var_os("MINIDOCKER_FAIL_STEP").is_some_and(|name| name == step.name())
    {
        return Err(format!("step {}: failed because MINIDOCKER_FAIL_STEP says so", step.name()));
    }
    Ok(())
}
