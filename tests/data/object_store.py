"""An object store with the interface of S3, in memory and in a thread: as much of it as clients of tables use."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

DATE = "2026-11-28T00:00:00.000Z"


def tag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


class Requests(BaseHTTPRequestHandler):
    """GET with ranges, HEAD, lists, PUT with conditions, uploads in parts, DELETE."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    uploads: dict[str, dict[int, bytes]]

    def log_message(self, *_: object) -> None:
        pass

    @property
    def asked(self) -> tuple[str, dict[str, str]]:
        url = urlsplit(self.path)
        return unquote(url.path).strip("/"), dict(parse_qsl(url.query, keep_blank_values=True))

    def answer(self, code: int, body: str | bytes = b"", **headers: str) -> None:
        body = body.encode() if isinstance(body, str) else body
        self.send_response(code)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        key, query = self.asked
        if "list-type" in query:
            return self.list(key, query.get("prefix", ""), query.get("delimiter", ""))
        if key not in self.objects:
            return self.answer(404, "<Error><Code>NoSuchKey</Code></Error>")
        data = self.objects[key]
        known = {"ETag": tag(data), "Last_Modified": "Sat, 28 Nov 2026 00:00:00 GMT"}
        part = re.match(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not part:
            return self.answer(200, data, **known)
        first, last = part.groups()
        start = int(first) if first else max(0, len(data) - int(last))
        stop = min(len(data), int(last) + 1) if first and last else len(data)
        return self.answer(206, data[start:stop], Content_Range=f"bytes {start}-{stop - 1}/{len(data)}", **known)

    do_HEAD = do_GET

    def list(self, bucket: str, prefix: str, delimiter: str) -> None:
        entries, folders = [], {}
        for name, data in sorted(self.objects.items()):
            key = name.removeprefix(f"{bucket}/")
            if not key.startswith(prefix):
                continue
            inner, found, _ = key[len(prefix) :].partition(delimiter or "\0")
            if found:
                folders[f"{prefix}{inner}{delimiter}"] = None
            else:
                facts = f"<LastModified>{DATE}</LastModified><ETag>{tag(data)}</ETag><Size>{len(data)}</Size>"
                entries.append(f"<Contents><Key>{key}</Key>{facts}</Contents>")
        entries += [f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in folders]
        head = f"<Name>{bucket}</Name><IsTruncated>false</IsTruncated><KeyCount>{len(entries)}</KeyCount>"
        self.answer(200, f"<ListBucketResult>{head}{''.join(entries)}</ListBucketResult>")

    def do_PUT(self) -> None:
        (key, query), data = self.asked, self.body()
        if "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = data
        elif source := self.headers.get("x-amz-copy-source"):
            self.objects[key] = self.objects[unquote(source).strip("/")]
            facts = f"<ETag>x</ETag><LastModified>{DATE}</LastModified>"
            return self.answer(200, f"<CopyObjectResult>{facts}</CopyObjectResult>")
        elif self.headers.get("If-None-Match") == "*" and key in self.objects:
            return self.answer(412)
        else:
            self.objects[key] = data
        return self.answer(200, ETag=tag(data))

    def do_POST(self) -> None:
        (key, query), body = self.asked, self.body()
        if "uploads" in query:
            number = str(len(self.uploads) + 1)
            self.uploads[number] = {}
            names = f"<Bucket>b</Bucket><Key>{key}</Key><UploadId>{number}</UploadId>"
            return self.answer(200, f"<InitiateMultipartUploadResult>{names}</InitiateMultipartUploadResult>")
        if "uploadId" in query:
            parts = self.uploads.pop(query["uploadId"])
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            return self.answer(200, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
        for name in re.findall(rb"<Key>(.*?)</Key>", body):
            self.objects.pop(f"{key}/{name.decode()}", None)
        return self.answer(200, "<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        self.objects.pop(self.asked[0], None)
        self.answer(204)


@contextmanager
def serving() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a fresh store, and what is in it."""
    handler = type("Store", (Requests,), {"objects": {}, "uploads": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.objects
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
