//! The programs that start another one, and which of their options take a value.
//!
//! Pure data, and looking into it.

use super::launcher::{Call, Launcher, Starts};
use super::package_name::file_name;

const NODE_MANAGER: [&str; 11] = [
    "--prefix",
    "--registry",
    "--cache",
    "--userconfig",
    "-w",
    "--workspace",
    "-c",
    "--call",
    "--loglevel",
    "--node-options",
    "--filter",
];
const UV: [&str; 32] = [
    "--with",
    "--with-editable",
    "--with-requirements",
    "-w",
    "-p",
    "--python",
    "--index",
    "--index-url",
    "-i",
    "--default-index",
    "--extra-index-url",
    "--find-links",
    "-f",
    "--cache-dir",
    "--env-file",
    "--config-file",
    "--constraints",
    "-c",
    "--overrides",
    "--build-constraints",
    "-b",
    "--extra",
    "--group",
    "--only-group",
    "--no-group",
    "--package",
    "--link-mode",
    "--color",
    "--refresh-package",
    "-P",
    "--upgrade-package",
    "--allow-insecure-host",
];
const UV_PLACES: [&str; 2] = ["--directory", "--project"];
const CONTAINER_FLAGS: [&str; 18] = [
    "--debug",
    "--detach",
    "--disable-content-trust",
    "--help",
    "--init",
    "--interactive",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--privileged",
    "--publish-all",
    "--quiet",
    "--read-only",
    "--replace",
    "--rm",
    "--sig-proxy",
    "--tls",
    "--tty",
    "--use-aliases",
];

/// All that are known. Of those with one name, the first that fits counts.
static LAUNCHERS: [Launcher; 52] = [
    Launcher::of(&["env"], Starts::Command)
        .named_by(&["-S", "--split-string"])
        .values(&["-u", "--unset", "-C", "--chdir"]),
    Launcher::of(&["sudo", "doas"], Starts::Command).values(&[
        "-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-r", "-t", "-T", "-D", "-R", "-U",
    ]),
    Launcher::of(&["nice", "ionice"], Starts::Command).values(&["-n", "--adjustment", "-c", "--class", "-p"]),
    Launcher::of(&["timeout", "gtimeout"], Starts::Command)
        .values(&["-s", "--signal", "-k", "--kill-after"])
        .skipping(1),
    Launcher::of(&["stdbuf"], Starts::Command).values(&["-i", "--input", "-o", "--output", "-e", "--error"]),
    Launcher::of(
        &["nohup", "setsid", "time", "exec", "command", "caffeinate", "unbuffer", "arch", "winpty"],
        Starts::Command,
    ),
    Launcher::of(&["xvfb-run"], Starts::Command).values(&["-n", "-s", "-e", "-f", "-w", "-p"]),
    Launcher::of(&["cmd"], Starts::Command).verbs(&[
        &["/c"],
        &["/C"],
        &["/k"],
        &["/s", "/c"],
        &["/d", "/c"],
        &["/d", "/s", "/c"],
        &["/q", "/c"],
        &["/S", "/C"],
    ]),
    Launcher::of(&["wsl"], Starts::Command).values(&["-d", "--distribution", "-u", "--user", "--cd", "--shell-type"]),
    Launcher::of(&["ssh"], Starts::Command)
        .values(&[
            "-b", "-c", "-D", "-E", "-e", "-F", "-I", "-i", "-J", "-L", "-l", "-m", "-O", "-o", "-p", "-R", "-S", "-W",
            "-w",
        ])
        .skipping(1),
    Launcher::of(&["mcplog"], Starts::Command)
        .verbs(&[&["wrap"]])
        .values(&["--name", "-d", "--dir", "--grace", "--color"]),
    Launcher::of(&["direnv"], Starts::Command).verbs(&[&["exec"]]).skipping(1),
    Launcher::of(&["bundle", "gem"], Starts::Command).verbs(&[&["exec"]]),
    Launcher::of(
        &[
            "op",
            "doppler",
            "infisical",
            "mise",
            "asdf",
            "aws-vault",
            "chamber",
            "dotenvx",
            "dotenv",
            "fnm",
            "volta",
            "bws",
            "varlock",
        ],
        Starts::BehindDashes,
    ),
    Launcher::of(&["sh", "bash", "zsh", "dash", "ash", "ksh", "fish", "busybox"], Starts::Shell)
        .named_by(&["-c", "--command"])
        .values(&["-o", "-O", "--rcfile", "--init-file"]),
    Launcher::of(&["powershell", "pwsh"], Starts::Shell).named_by(&["-Command", "-command", "-c", "-C"]).values(&[
        "-ExecutionPolicy",
        "-ep",
        "-WorkingDirectory",
        "-WindowStyle",
    ]),
    Launcher::of(&["npx", "pnpx", "bunx"], Starts::Package).named_by(&["-p", "--package"]).values(&NODE_MANAGER),
    Launcher::of(&["npm"], Starts::Package)
        .verbs(&[&["exec"], &["x"]])
        .named_by(&["-p", "--package"])
        .values(&NODE_MANAGER),
    Launcher::of(&["pnpm"], Starts::Package).verbs(&[&["dlx"], &["x"]]).named_by(&["--package"]).values(&[
        "-C",
        "--dir",
        "--filter",
        "--registry",
        "-c",
    ]),
    Launcher::of(&["yarn"], Starts::Package).verbs(&[&["dlx"]]).named_by(&["-p", "--package"]).values(&["--cwd"]),
    Launcher::of(&["bun"], Starts::Package).verbs(&[&["x"]]).named_by(&["-p", "--package"]),
    Launcher::of(&["uvx"], Starts::Package).named_by(&["--from"]).values(&UV),
    Launcher::of(&["uv"], Starts::Package).verbs(&[&["tool", "run"], &["x"]]).named_by(&["--from"]).values(&UV),
    Launcher::of(&["pipx"], Starts::Package).verbs(&[&["run"]]).named_by(&["--spec"]).values(&[
        "--python",
        "--pip-args",
        "-i",
        "--index-url",
        "--fetch-missing-python",
    ]),
    Launcher::of(&["dnx"], Starts::Package).values(&["--version", "--source", "--add-source", "--configfile"]),
    Launcher::of(&["dotnet"], Starts::Package).verbs(&[&["tool", "run"], &["tool", "exec"], &["tool", "execute"]]),
    Launcher::of(&["go"], Starts::Package).verbs(&[&["run"]]).values(&["-C", "-exec", "-tags", "-ldflags", "-mod"]),
    Launcher::of(&["nix"], Starts::Package)
        .verbs(&[&["run"]])
        .values(&["--extra-experimental-features", "--inputs-from"]),
    Launcher::of(&["uv"], Starts::Project).verbs(&[&["run"]]).named_by(&UV_PLACES).values(&UV),
    Launcher::of(&["npm"], Starts::Project)
        .verbs(&[&["run"], &["run-script"]])
        .named_by(&["--prefix", "-C"])
        .values(&NODE_MANAGER),
    Launcher::of(&["pnpm"], Starts::Project)
        .verbs(&[&["run"], &["exec"]])
        .named_by(&["-C", "--dir"])
        .values(&["--filter"]),
    Launcher::of(&["yarn"], Starts::Project).verbs(&[&["run"], &["exec"], &["workspace"]]).named_by(&["--cwd"]),
    Launcher::of(&["bun"], Starts::Project).verbs(&[&["run"]]).named_by(&["--cwd"]).values(&[
        "-r",
        "--preload",
        "--env-file",
    ]),
    Launcher::of(&["npm", "pnpm", "yarn"], Starts::Project)
        .verbs(&[&["start"]])
        .named_by(&["--prefix", "-C", "--dir", "--cwd"])
        .last(),
    Launcher::of(&["poetry"], Starts::Project).verbs(&[&["run"]]).named_by(&["-C", "--directory", "-P", "--project"]),
    Launcher::of(&["pdm", "rye"], Starts::Project).verbs(&[&["run"]]).named_by(&["-p", "--project", "--pyproject"]),
    Launcher::of(&["hatch", "pipenv"], Starts::Project).verbs(&[&["run"]]).values(&["-e", "--env"]),
    Launcher::of(&["conda", "mamba", "micromamba"], Starts::Project)
        .verbs(&[&["run"]])
        .named_by(&["--cwd"])
        .values(&["-n", "--name", "-p", "--prefix"]),
    Launcher::of(&["cargo"], Starts::Project)
        .verbs(&[&["run"]])
        .named_by(&["-p", "--package", "--bin", "--example", "--manifest-path"])
        .values(&["-F", "--features", "--profile", "--target", "--target-dir", "-j"])
        .last(),
    Launcher::of(&["dotnet"], Starts::Project)
        .verbs(&[&["run"]])
        .named_by(&["--project", "-p"])
        .values(&["-c", "--configuration", "-f", "--framework", "--launch-profile", "-v"])
        .last(),
    Launcher::of(&["mcp", "fastmcp"], Starts::Script).verbs(&[&["run"], &["dev"]]).values(&[
        "-t",
        "--transport",
        "--host",
        "--port",
        "-p",
        "-l",
        "--log-level",
        "--with",
        "--with-editable",
        "-e",
        "-f",
    ]),
    Launcher::of(&["node", "nodejs", "electron"], Starts::Script)
        .values(&["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"])
        .inline(&["-e", "--eval", "-p", "--print"]),
    Launcher::of(&["tsx", "ts-node", "ts-node-esm", "nodemon"], Starts::Script).verbs(&[&["watch"]]).values(&[
        "--tsconfig",
        "-P",
        "--project",
        "-r",
        "--require",
        "--import",
    ]),
    Launcher::of(&["tsx", "ts-node", "ts-node-esm", "nodemon"], Starts::Script)
        .values(&["--tsconfig", "-P", "--project", "-r", "--require", "--import", "--exec", "-w"])
        .inline(&["-e", "--eval"]),
    Launcher::of(&["deno"], Starts::Script).verbs(&[&["run"], &["serve"], &["task"]]).values(&[
        "-c",
        "--config",
        "--import-map",
        "--cwd",
        "--cert",
        "--preload",
    ]),
    Launcher::of(&["bun"], Starts::Script)
        .values(&["-r", "--preload", "--cwd", "--env-file"])
        .inline(&["-e", "--eval", "-p"]),
    Launcher::of(&["python", "py", "pypy", "pythonw"], Starts::Script)
        .named_by(&["-m"])
        .values(&["-W", "-X", "-Q"])
        .inline(&["-c"]),
    Launcher::of(&["ruby", "perl", "php", "lua", "Rscript", "groovy"], Starts::Script)
        .values(&["-I", "-r", "-d", "-l"])
        .inline(&["-e"]),
    Launcher::of(&["dotnet"], Starts::Script).verbs(&[&["exec"], &[]]).values(&[
        "--depsfile",
        "--runtimeconfig",
        "--roll-forward",
    ]),
    Launcher::of(&["java", "javaw", "jbang"], Starts::Script).named_by(&["-m", "--module"]).values(&[
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--add-modules",
        "--add-opens",
    ]),
    Launcher::of(&["docker", "podman", "nerdctl"], Starts::Image)
        .verbs(&[&["run"], &["container", "run"], &["compose", "run"]])
        .flags(&CONTAINER_FLAGS),
    Launcher::of(&["docker", "podman", "nerdctl"], Starts::Command)
        .verbs(&[&["exec"], &["container", "exec"], &["compose", "exec"]])
        .flags(&CONTAINER_FLAGS)
        .skipping(1),
];

/// Reads the call of a launcher: that, and what it was called with. `None`: it is none, or nobody knows what it starts.
pub(super) fn read<'a>(program: &str, arguments: &'a [String]) -> Option<(&'static Launcher, Call<'a>)> {
    let launchers = LAUNCHERS.iter().filter(|launcher| launcher.is_called(program));
    launchers.filter_map(|launcher| Some((launcher, launcher.read(arguments)?))).next()
}

/// Whether a program of that name starts others.
pub(super) fn is_launcher(program: &str) -> bool {
    LAUNCHERS.iter().any(|launcher| launcher.is_called(&file_name(program)))
}
