//! Starting the country's first process in namespaces of its own, and staying in touch with it.
//!
//! The process that people start stays where it is, in the machine's own network. Its child is `unshare`, whose
//! child is the first process of the new process namespace: when that one ends, the kernel ends everything in it,
//! and with the last process go the namespaces, links and mounts. The chain holds in both directions:
//! * the outer process is killed: the inner one reads the end of its standard input and ends;
//! * `unshare` is killed: `--kill-child` kills the inner one;
//! * the inner one is killed or crashes: the kernel cleans up, and the outer one sees the end of the connection.
//!
//! The standard input of the inner process is one end of a socket pair. JSON lines go down it ([`Job`], then the
//! word `stop`) and come up it ([`Report`]). Its standard output may be a listening TCP socket that was opened in
//! the machine's own network: so readers reach the coordinator although no link leads into the country.

use super::cases::CaseOptions;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

const NAMESPACES: [&str; 5] = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];

/// Why the inner process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The machine allows no namespaces.
    #[error(
        "this machine allows no new namespaces here ({0}); run as root, in a container with --privileged, \
         or allow them: sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
    )]
    Forbidden(String),
    /// `unshare` cannot be run.
    #[error("running unshare; it is part of Debian's package util-linux")]
    Unshare(#[source] std::io::Error),
    /// The address for readers is taken.
    #[error("listening on {address} for readers; name another one, such as --http 127.0.0.1:{other}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// A port that may be free.
        other: u16,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The connection to the inner process failed.
    #[error("talking to the country's first process")]
    Talk(#[source] std::io::Error),
}

/// What the inner process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The scenario file, absolute.
    pub scenario: PathBuf,
    /// The `country` binary.
    pub program: PathBuf,
    /// What to do in the country.
    pub task: Task,
}

/// What to do in a country.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Run Faultline in it.
    Run(RunOptions),
    /// Run the checks of a case file.
    Case(CaseOptions),
    /// Run every circumvention check from everywhere, once.
    Endpoints {
        /// The agent's program.
        agent: PathBuf,
        /// Says nothing but errors.
        quiet: bool,
    },
    /// Give somebody a shell, or run a command.
    Shell {
        /// Where.
        place: Place,
        /// The command; empty for a shell.
        command: Vec<String>,
    },
}

/// A place in the country, or outside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Place {
    /// A subscriber of a provider: an agent's host, counted from 1, or the host for shells, 0.
    Subscriber {
        /// The provider, by name or ASN.
        provider: String,
        /// The agent.
        agent: usize,
    },
    /// A control, counted from 1.
    Control(usize),
}

/// How to run Faultline in the country.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunOptions {
    /// Where the three programs are.
    pub programs: PathBuf,
    /// Goes on serving after the timeline has ended.
    pub keep: bool,
    /// Says nothing but errors.
    pub quiet: bool,
    /// The address for readers, for messages; `None` when nobody listens.
    pub http: Option<SocketAddr>,
    /// Records a baseline instead of using one.
    pub record_baseline: bool,
    /// Runs without the baseline that the scenario names.
    pub without_baseline: bool,
    /// Kills so many programs at random moments.
    pub chaos: u32,
    /// Seeds chaos instead of the scenario's seed.
    pub seed: Option<u64>,
    /// Keeps the programs' folders and logs here.
    pub work: Option<PathBuf>,
    /// Ends as soon as everything true has been said in full.
    #[serde(default)]
    pub until_right: bool,
    /// Hours of the day whose budget the agents have spent already.
    #[serde(default)]
    pub hours_spent: u32,
}

/// What the inner process reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The result object of a run.
    Result(serde_json::Value),
    /// A recorded baseline.
    Baseline(serde_json::Value),
}

/// The inner process, seen from outside.
pub struct Inner {
    child: Child,
    line: UnixStream,
}

/// Finds out which options `unshare` needs here.
///
/// # Errors
/// Says why neither root's nor a user's way works.
pub fn namespace_options() -> Result<Vec<&'static str>, LaunchError> {
    let mut refusal = String::new();
    for extra in [&[][..], &AS_USER[..]] {
        let options: Vec<&'static str> = NAMESPACES.iter().chain(extra).copied().collect();
        let mut trial = Command::new("unshare");
        let output = trial.args(&options).arg("true").output().map_err(LaunchError::Unshare)?;
        if output.status.success() {
            return Ok(options);
        }
        refusal = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(LaunchError::Forbidden(refusal))
}

/// Opens the socket for readers in the machine's own network.
///
/// # Errors
/// Says that the address is taken, and what to do.
pub fn listen(address: SocketAddr) -> Result<TcpListener, LaunchError> {
    TcpListener::bind(address).map_err(|source| {
        let other = address.port().checked_add(1).unwrap_or(8081);
        LaunchError::Listen { address, other, source }
    })
}

impl Inner {
    /// Starts the inner process with a job; `listener` becomes its standard output.
    ///
    /// # Errors
    /// Says why it could not be started.
    pub fn start(job: &Job, listener: Option<TcpListener>) -> Result<Self, LaunchError> {
        let (mut line, theirs) = UnixStream::pair().map_err(LaunchError::Talk)?;
        let mut command = Command::new("unshare");
        command.args(namespace_options()?).arg("--").arg(&job.program).arg("inside");
        // Users often have no sbin in their path, but ip and iptables live there.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
        command.stdin(OwnedFd::from(theirs));
        if let Some(listener) = listener {
            command.stdout(OwnedFd::from(listener));
        }
        if matches!(job.task, Task::Run(_) | Task::Case(_)) {
            // A Ctrl-C is for the outer process alone, which then stops the country in order.
            command.process_group(0);
        }
        let child = command.spawn().map_err(LaunchError::Unshare)?;
        drop(command);
        let mut text = serde_json::to_string(job).map_err(|e| LaunchError::Talk(e.into()))?;
        text.push('\n');
        line.write_all(text.as_bytes()).map_err(LaunchError::Talk)?;
        Ok(Self { child, line })
    }

    /// Returns a handle by which the country is asked to stop in order.
    ///
    /// # Errors
    /// Passes on what the kernel says.
    pub fn stopper(&self) -> Result<Stopper, LaunchError> {
        self.line.try_clone().map(Stopper).map_err(LaunchError::Talk)
    }

    /// Hands every report to `take` until the country has ended, and returns how it did.
    ///
    /// # Errors
    /// Fails when the child cannot be waited for.
    pub fn wait(mut self, mut take: impl FnMut(Report)) -> Result<ExitStatus, LaunchError> {
        for line in BufReader::new(&self.line).lines() {
            let Ok(line) = line else { break };
            if let Ok(report) = serde_json::from_str(&line) {
                take(report);
            }
        }
        self.child.wait().map_err(LaunchError::Talk)
    }
}

/// Asks the country to stop.
pub struct Stopper(UnixStream);

impl Stopper {
    /// Asks it to stop in order.
    pub fn stop(&mut self) {
        // A country that is gone needs no asking.
        let _ = self.0.write_all(b"stop\n");
    }

    /// Ends it at once.
    pub fn end(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The inner process's end of the connection.
pub struct Line(UnixStream);

impl Line {
    /// Takes over standard input.
    ///
    /// # Errors
    /// Fails when standard input is no socket, because somebody started `country inside` by hand.
    pub fn from_stdin() -> Result<Self, LaunchError> {
        let fd = std::io::stdin().as_fd().try_clone_to_owned().map_err(LaunchError::Talk)?;
        Ok(Self(UnixStream::from(fd)))
    }

    /// Reads the job; then calls `stop` when asked to, and ends the process when the outer one is gone.
    ///
    /// # Errors
    /// Fails when no job comes.
    pub fn job(&self, stop: impl Fn() + Send + 'static) -> Result<Job, LaunchError> {
        let mut reader = BufReader::new(self.0.try_clone().map_err(LaunchError::Talk)?);
        let mut text = String::new();
        reader.read_line(&mut text).map_err(LaunchError::Talk)?;
        let job = serde_json::from_str(&text).map_err(|e| LaunchError::Talk(e.into()))?;
        std::thread::spawn(move || {
            for line in reader.lines() {
                match line.as_deref() {
                    Ok("stop") => stop(),
                    _ => break,
                }
            }
            std::process::exit(1);
        });
        Ok(job)
    }

    /// Sends a report up.
    ///
    /// # Errors
    /// Fails when the outer process is gone.
    pub fn report(&mut self, report: &Report) -> Result<(), LaunchError> {
        let mut text = serde_json::to_string(report).map_err(|e| LaunchError::Talk(e.into()))?;
        text.push('\n');
        self.0.write_all(text.as_bytes()).map_err(LaunchError::Talk)
    }
}

/// Makes a path absolute, for a process that works in other namespaces.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
