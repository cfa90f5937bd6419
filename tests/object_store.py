"""An S3 server on loopback for the tests: moto's, one request at a time."""

import io
import threading
from contextlib import contextmanager

import boto3
import requests
from moto.server import DomainDispatcherApplication, create_backend_app
from s3fs import S3FileSystem
from werkzeug.serving import WSGIRequestHandler, make_server

KEY, SECRET = "AKIAPULSEBOOK", "s3cret/of+the-Store0123"


class _Quiet(WSGIRequestHandler):
    def log(self, *_):
        """Nothing."""


@contextmanager
def object_store(bucket: str = "pulsebook", requested: list | None = None):
    """The variables that lead to a server with an empty bucket; method and path of each request are noted in `requested`.

    moto looks at a condition first and writes afterwards: only one request at a time makes its conditional writes atomic,
    as S3's are. It is received before its turn: a client that is frozen in the middle of one keeps nobody waiting.
    """
    application, alone = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ, start_response):
        length = -1 if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        if requested is not None:
            requested.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        with alone:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        client(variables).create_bucket(Bucket=bucket)
        yield variables
    finally:
        requests.post(f"{variables['AWS_ENDPOINT_URL']}/moto-api/reset", timeout=10)  # its buckets outlive a server
        S3FileSystem.clear_instance_cache()  # fsspec would hand one out that still asks this server
        server.shutdown()
        thread.join()
        server.server_close()


def client(variables: dict):
    """A plain client of the store: another one than the archive's own."""
    return boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


def objects(variables: dict, prefix: str = "", bucket: str = "pulsebook") -> dict[str, bytes]:
    """What a bucket holds under a prefix, by key."""
    s3 = client(variables)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
