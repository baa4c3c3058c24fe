//! Commands as people's configurations have them, and what their servers are called.

use super::*;
use proptest::prelude::*;

/// A command, as a shell would take it, and the name.
const TABLE: [(&str, &str); 118] = [
    // Node's packages.
    ("npx server-x", "server-x"),
    ("npx -y @scope/server@1.2.3 --token s3cret", "@scope/server"),
    ("npx --yes @scope/server@latest /home/me/files", "@scope/server"),
    ("npx -p @scope/pkg -p other cmd --flag", "@scope/pkg"),
    ("npx --package=@scope/pkg@2 -- cmd", "@scope/pkg"),
    ("npx -y -- server-x", "server-x"),
    ("npx -y --registry https://npm.example server-x", "server-x"),
    ("npx -y github:owner/repo#main", "repo"),
    ("npx -y git+https://user:s3cret@github.com/owner/repo.git", "repo"),
    ("npx -y https://example.com/builds/thing.tgz?key=s3cret", "thing.tgz"),
    ("npx ./packages/weather", "weather"),
    ("/usr/local/bin/npx -y server-x", "server-x"),
    (r"'C:\Program Files\nodejs\npx.cmd' -y server-x", "server-x"),
    ("npm exec -y -- @scope/server", "@scope/server"),
    ("npm x --package @scope/pkg -- cmd", "@scope/pkg"),
    ("npm --prefix /srv/weather run start", "weather"),
    ("npm run mcp-dev", "mcp-dev"),
    ("npm start", "project"),
    ("pnpm dlx server-x@next", "server-x"),
    ("pnpm --package=@scope/pkg dlx cmd", "@scope/pkg"),
    ("pnpm -C /srv/weather exec server", "weather"),
    ("yarn dlx -p @scope/pkg cmd", "@scope/pkg"),
    ("yarn dlx -q server-x", "server-x"),
    ("bunx server-x", "server-x"),
    ("bunx --bun @scope/server@1", "@scope/server"),
    ("bun x server-x", "server-x"),
    ("bun run src/index.ts", "project"),
    ("bun /srv/weather/server.ts", "weather"),
    ("node /srv/weather/dist/index.js --key s3cret", "weather"),
    ("node dist/index.js", "project"),
    ("node --import tsx --enable-source-maps ./weather.mjs", "weather"),
    ("node --env-file=.env -r dotenv/config /srv/weather/build/main.js", "weather"),
    ("node /x/node_modules/@scope/pkg/dist/cli.js", "@scope/pkg"),
    ("node -e 'require(\"s3cret\")' s3cret", "node"),
    ("tsx watch src/weather.ts", "weather"),
    ("ts-node --project tsconfig.json src/index.ts", "project"),
    (r"node 'C:\srv\weather\dist\index.js'", "weather"),
    ("electron .", "project"),
    // Python's.
    ("uvx mcp-server-git --repository /home/me/repo", "mcp-server-git"),
    ("uvx mcp-server-git@2025.1.1", "mcp-server-git"),
    ("uvx 'mcp-server-x[all]==1.0'", "mcp-server-x"),
    ("uvx --python 3.12 --with httpx mcp-server-x", "mcp-server-x"),
    ("uvx --from git+https://github.com/owner/repo.git@v1#subdirectory=x cmd", "repo"),
    ("uvx --from git+ssh://git@github.com/owner/repo cmd", "repo"),
    ("uvx --from mcp-alchemy==2025.8 --with pymysql mcp-alchemy", "mcp-alchemy"),
    ("uv tool run mcp-server-x --key s3cret", "mcp-server-x"),
    ("uv tool run --from pkg cmd", "pkg"),
    ("uv run weather.py", "weather"),
    ("uv run server.py", "project"),
    ("uv --directory /srv/weather run server.py", "weather"),
    ("uv run --directory /srv/weather mcp-weather --key s3cret", "mcp-weather"),
    ("uv run --directory=/srv/weather python -m weather_server", "weather_server"),
    ("uv run --with 'mcp[cli]' mcp run /srv/weather/server.py", "weather"),
    ("uv run --project ../weather fastmcp run server.py:mcp", "weather"),
    ("uv run -m weather", "weather"),
    ("pipx run mcp-server-x==1", "mcp-server-x"),
    ("pipx run --spec git+https://github.com/owner/repo cmd", "repo"),
    ("python -m mcp_server_git --repository .", "mcp_server_git"),
    ("python3 -u -W ignore -m weather.server", "weather"),
    ("python3.12 -X utf8 /srv/weather/main.py", "weather"),
    ("python script.py", "script"),
    ("python -c 'print(\"s3cret\")' s3cret", "python"),
    ("/srv/weather/.venv/bin/python -m server", "server"),
    ("/srv/.venv/bin/mcp-weather", "mcp-weather"),
    ("py -3 -m weather", "weather"),
    ("poetry run python -m weather", "weather"),
    ("poetry -C /srv/weather run server", "weather"),
    ("conda run -n env --no-capture-output python weather.py", "weather"),
    ("hatch run weather", "weather"),
    ("fastmcp run weather.py --transport stdio", "weather"),
    // Other languages.
    ("deno run -A --no-prompt npm:@scope/server@1/cli", "@scope/server"),
    ("deno run --allow-net=example.com jsr:@scope/server", "@scope/server"),
    ("deno run -A https://deno.land/x/weather/mod.ts?key=s3cret", "mod"),
    ("deno run -A ./weather.ts", "weather"),
    ("java -Xmx1g -jar /opt/weather/weather-server-1.2.3.jar --key s3cret", "weather-server"),
    ("java -jar /opt/weather/server.jar", "weather"),
    ("java -cp a.jar:b.jar com.example.Weather", "com.example.Weather"),
    ("jbang weather@owner", "weather@owner"),
    ("dotnet /opt/Weather.dll", "Weather"),
    ("dotnet run --project src/Weather/Weather.csproj -- --key s3cret", "Weather"),
    ("dotnet tool run weather", "weather"),
    ("dnx Weather.Mcp@1.0.0 --yes", "Weather.Mcp"),
    ("go run ./cmd/weather", "weather"),
    ("go run github.com/owner/weather@latest --key s3cret", "weather"),
    ("cargo run --release --manifest-path /srv/weather/Cargo.toml", "weather"),
    ("cargo run -q --bin weather -- --key s3cret", "weather"),
    ("ruby -I lib weather.rb", "weather"),
    ("bundle exec weather", "weather"),
    ("nix run github:owner/weather -- --key s3cret", "weather"),
    ("nix run nixpkgs#weather", "weather"),
    // Containers.
    ("docker run -i --rm mcp/github", "github"),
    ("docker run -i --rm -e TOKEN -e KEY=s3cret --env-file .env ghcr.io/owner/weather:v1 stdio", "weather"),
    ("docker run -it --init --name w -v /a:/b --mount type=bind,src=/a,dst=/b mcp/weather@sha256:0123", "weather"),
    ("docker --context remote container run --rm localhost:5000/weather", "weather"),
    ("podman run --network=host --pull always docker.io/mcp/time:latest", "time"),
    ("docker run -i --rm -w /app node:22 npx -y server-x", "server-x"),
    ("docker compose -f c.yml run --rm weather", "weather"),
    ("docker exec -i -e KEY=s3cret box npx server-x", "server-x"),
    ("docker mcp gateway run", "docker"),
    // Through others.
    ("sh -c 'exec npx -y server-x'", "server-x"),
    ("bash -lc 'cd /srv && source .env; KEY=s3cret exec uvx mcp-server-x | tee log'", "tee"),
    ("bash -lc 'source .env && KEY=s3cret exec uvx mcp-server-x'", "mcp-server-x"),
    ("bash /srv/weather/start.sh", "weather"),
    ("zsh -i -c server-x", "server-x"),
    ("cmd /c npx -y server-x", "server-x"),
    ("cmd.exe /d /s /c 'npx -y server-x'", "server-x"),
    ("powershell -ExecutionPolicy Bypass -Command 'npx -y server-x'", "server-x"),
    ("env -u HOME KEY=s3cret npx -y server-x", "server-x"),
    ("env -S 'npx -y server-x'", "server-x"),
    ("sudo -u me -E KEY=s3cret /opt/weather", "weather"),
    ("timeout -k 5 60 nice -n 10 stdbuf -o L server-x", "server-x"),
    ("op run --env-file=.env -- npx -y server-x", "server-x"),
    ("ssh -i key -p 22 me@host npx -y server-x", "server-x"),
    ("wsl -d Ubuntu -e npx server-x", "server-x"),
    ("/opt/mcplog wrap --name x -- npx server-x", "server-x"),
    // Bridges.
    (
        "npx -y mcp-remote https://me:s3cret@mcp.example.com:8443/sse?key=s3cret --header 'Authorization: s3cret'",
        "mcp.example.com",
    ),
    ("npx -y supergateway --header s3cret --sse https://mcp.example.com/sse", "mcp.example.com"),
    ("npx -y supergateway --stdio 'npx -y server-x'", "server-x"),
];

fn words(line: &str) -> Vec<OsString> {
    shlex::split(line).unwrap().into_iter().map(OsString::from).collect()
}

#[test]
fn a_server_is_called_what_is_started_and_never_what_starts_it() {
    let wrong: Vec<String> = TABLE
        .iter()
        .map(|(line, expected)| (line, *expected, server_name(&words(line), Some(Path::new("/home/me/project")))))
        .filter(|(_, expected, found)| expected != found)
        .map(|(line, expected, found)| format!("{line}\n  {found} instead of {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), TABLE.len(), wrong.join("\n"));
}

#[test]
fn what_can_not_be_named_has_a_name() {
    for (command, expected) in [
        (&[][..], "server"),
        (&[""], "server"),
        (&["\u{1b}[31m"], "31m"),
        (&["npx"], "npx"),
        (&["npx", "-y"], "npx"),
        (&["sh", "-c", ""], "sh"),
        (&["docker", "run"], "docker"),
        (&["mcp-remote"], "mcp-remote"),
        (&["./служба"], "служба"),
        (&["node", "dist/index.js"], "node"),
    ] {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        assert_eq!(server_name(&command, None), expected, "{command:?}");
    }
    let deep: Vec<OsString> = vec!["env".into(); 10_000];
    assert_eq!(server_name(&deep, None), "env");
}

proptest! {
    #[test]
    fn a_name_is_short_and_plain_and_holds_no_argument_of_the_server(
        line in 0..TABLE.len(),
        arguments in prop::collection::vec("\\PC{0,80}", 0..4),
    ) {
        let secret = "s3cret";
        let mut command = words(TABLE[line].0);
        command.extend(arguments.iter().map(|argument| format!("{secret}{argument}").into()));
        let name = server_name(&command, Some(Path::new("/home/me/project")));
        prop_assert!((1..=CHARS_MAX).contains(&name.chars().count()));
        prop_assert!(name.chars().all(|character| character.is_alphanumeric() || "@/._-+".contains(character)), "{name}");
        prop_assert!(!name.contains(secret), "{name} of {command:?}");
    }
}
