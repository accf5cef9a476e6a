//! The manual page and the completion scripts, made from the definition of the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use crate::admin::operator::Failure;

/// The completion script of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "safelight", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual in roff: the program, then each of its commands.
pub fn page() -> Result<String, Failure> {
    let mut program = Cli::command();
    program.build();
    let mut page = Vec::new();
    let commands = program.get_subcommands().filter(|command| command.get_name() != "help").cloned();
    for command in std::iter::once(program.clone()).chain(commands) {
        let rendered = clap_mangen::Man::new(command.disable_help_subcommand(true)).render(&mut page);
        rendered.map_err(|error| Failure::new(format!("the manual page cannot be made: {error}")))?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_manual_and_the_completions() {
        let (page, script) = (page().expect("made"), completions(Shell::Bash));
        for command in Cli::command().get_subcommands() {
            assert!(page.contains(command.get_name()), "{}", command.get_name());
            assert!(script.contains(command.get_name()), "{}", command.get_name());
        }
        assert!(page.contains("phrase"));
    }
}
