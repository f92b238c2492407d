//! The program `samtok`: reads its arguments, starts logging and threads, and turns errors into a line and an exit code.

use std::io::{self, BufWriter, Write as _};
use std::{env, process};

use anyhow::Context as _;
use mimalloc::MiMalloc;
use samtok::cli::{Cli, ExitCode, diagnostics, threads};

/// Big tensors come and go with every layer; the system's allocator gives them back and zeroes them again each time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long freed memory is kept for the next tensor before it goes back to the system, in milliseconds; at the
/// default of 10 a tenth of an image's encoding is the kernel zeroing the same pages again.
const MEMORY_KEPT_MS: std::ffi::c_long = 2_000;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

#[expect(unsafe_code, reason = "mimalloc offers its options through C only")]
fn keep_freed_memory() {
    // SAFETY: setting an option takes two integers and is allowed at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, MEMORY_KEPT_MS) };
}

fn main() -> process::ExitCode {
    keep_freed_memory();
    let code = match Cli::parse(env::args_os()) {
        Ok(cli) => {
            diagnostics::start(cli.log_level());
            run(&cli).unwrap_or_else(|error| {
                if diagnostics::is_broken_pipe(&error) {
                    return ExitCode::AllWell;
                }
                diagnostics::report(&error);
                ExitCode::NothingDone
            })
        }
        Err(code) => code,
    };
    code.into()
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    threads::start(cli.threads())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let code = cli.run(&mut out)?;
    out.flush().context("cannot write to standard output")?;
    Ok(code)
}
