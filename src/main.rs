//! The program `samtok`: reads its arguments, starts logging and threads, and turns errors into a line and an exit code.

use std::io::{self, BufWriter, Write as _};
use std::{env, process};

use anyhow::Context as _;
use mimalloc::MiMalloc;
use samtok::cli::{Cli, ExitCode, diagnostics, threads};

/// Big tensors come and go with every layer; the system's allocator gives them back and zeroes them again each time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> process::ExitCode {
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
