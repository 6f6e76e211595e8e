"""nginx as the floor: TLS on both sides and one header set, in C, and nothing else.

It is no proxy for CONNECT, so its clients speak to it as to the server. It writes no log, verifies
the upstream's certificate, keeps upstream connections, and runs as one process.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.bench import traffic

_CONFIGURATION = """
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log {place}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_buffer_size 64k;
    upstream behind {{
        server 127.0.0.1:{upstream_port};
        keepalive 128;
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} ssl backlog=1024;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_protocols TLSv1.3;
        ssl_session_tickets off;
        proxy_http_version 1.1;
        proxy_set_header Host {host};
        proxy_set_header Connection "";
        proxy_set_header Authorization "Bearer {key}";
        proxy_ssl_protocols TLSv1.3;
        proxy_ssl_server_name on;
        proxy_ssl_name {host};
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate {roots};
        proxy_buffer_size 16k;
        proxy_buffers 16 32k;
        proxy_busy_buffers_size 128k;
        proxy_max_temp_file_size 0;
        location / {{ proxy_pass https://behind; }}
        location /bulk {{ proxy_pass https://behind; proxy_request_buffering off; }}
        location /events {{ proxy_pass https://behind; proxy_buffering off; }}
    }}
}}
"""


def find(cache: Path) -> str | None:
    """The program: of the system, or else out of the distribution's package, not installed.

    None where there is neither.
    """
    installed = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if installed:
        return installed
    program = cache / "nginx" / "usr" / "sbin" / "nginx"
    return str(program) if program.exists() or _unpack(cache / "nginx", program) else None


def _unpack(folder: Path, program: Path) -> bool:
    """Fetch the package and take it apart; no server of the system is started by that."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in ("nginx-light", "nginx"):
        try:
            subprocess.run(
                ["apt-get", "download", "-q", package], cwd=folder, check=True, capture_output=True
            )
            for archive in folder.glob(f"{package}_*.deb"):
                subprocess.run(["dpkg", "-x", archive, folder], check=True, capture_output=True)
            subprocess.run([program, "-v"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            program.unlink(missing_ok=True)
        else:
            return True
    return False


def version(program: str) -> str:
    """What it calls itself."""
    said = subprocess.run([program, "-v"], check=True, capture_output=True, text=True).stderr
    return said.rpartition("/")[2].strip()


def command(
    program: str, place: Path, port: int, *, upstream_port: int, certificate: Path, roots: Path
) -> list[str]:
    """How it is started, on a port, with its files in `place`."""
    place.mkdir()
    configuration = place / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            place=place,
            port=port,
            upstream_port=upstream_port,
            certificate=certificate,
            roots=roots,
            host=traffic.CREDENTIALED,
            key=traffic.KEY,
        )
    )
    return [program, "-p", str(place), "-e", str(place / "nginx.log"), "-c", str(configuration)]
