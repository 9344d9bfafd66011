"""Answers GetProducts of AWS's price list, which the emulator does not have, for the type of the local instance."""

import json
from typing import Any, Awaitable, Callable, Dict, List, Tuple

from guard import App, Message, Receive, Scope, Send

TARGET = b"AWSPriceListService."
# On-demand list price of the type, Linux, in us-east-1.
PRICES = {("t3.small", "us-east-1"): "0.0208000000"}
# A request without one of them would get several products on AWS, of which the price is ambiguous.
FIXED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "preInstalledSw": "NA",
    "marketoption": "OnDemand",
}
FIELDS = {"instanceType", "regionCode", *FIXED}


class Invalid(Exception):
    """The message of an InvalidParameterException."""


def with_prices(app: App) -> App:
    async def with_price(scope: Scope, receive: Receive, send: Send) -> None:
        target = dict(scope["headers"]).get(b"x-amz-target", b"") if scope["type"] == "http" else b""
        if not target.startswith(TARGET):
            await app(scope, receive, send)
            return
        body = await _read(receive)
        try:
            if target != TARGET + b"GetProducts":
                raise Invalid("the local cloud has GetProducts only")
            status, answer = 200, {"FormatVersion": "aws_v1", "PriceList": find_products(body)}
        except Invalid as error:
            status, answer = 400, {"__type": "InvalidParameterException", "message": str(error)}
        await _send(send, status, answer)

    return with_price


def find_products(body: bytes) -> List[str]:
    """The products that a request means, each as a JSON text.

    Raises Invalid for a request that AWS refuses, or that would get more than one product.
    """
    try:
        request = json.loads(body)
    except ValueError:
        raise Invalid("the request is not JSON") from None
    unknown = set(request) - {"ServiceCode", "FormatVersion", "Filters", "MaxResults"}
    if unknown or request.get("ServiceCode") != "AmazonEC2" or request.get("FormatVersion", "aws_v1") != "aws_v1":
        raise Invalid("only AmazonEC2 in aws_v1 is known here, and %s is not" % sorted(unknown))
    wanted: Dict[str, str] = {}
    for one in request.get("Filters", []):
        if one.get("Type") != "TERM_MATCH" or set(one) != {"Type", "Field", "Value"}:
            raise Invalid("a filter has Type TERM_MATCH, Field and Value")
        wanted[one["Field"]] = one["Value"]
    if set(wanted) != FIELDS:
        raise Invalid("the filters are %s, not %s" % (sorted(wanted), sorted(FIELDS)))
    price = PRICES.get((wanted["instanceType"], wanted["regionCode"]))
    if price is None or any(wanted[field] != value for field, value in FIXED.items()):
        return []
    rate = {"unit": "Hrs", "pricePerUnit": {"USD": price}, "beginRange": "0", "endRange": "Inf"}
    term = {"priceDimensions": {"LOCAL.JRTCKXETXF.6YS6EN2CT7": rate}, "offerTermCode": "JRTCKXETXF"}
    product = {"productFamily": "Compute Instance", "attributes": wanted, "sku": "LOCAL"}
    terms = {"OnDemand": {"LOCAL.JRTCKXETXF": term}}
    return [json.dumps({"product": product, "serviceCode": "AmazonEC2", "terms": terms})]


async def _read(receive: Callable[[], Awaitable[Message]]) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            return body


async def _send(send: Send, status: int, answer: Dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    headers: List[Tuple[bytes, bytes]] = [
        (b"content-type", b"application/x-amz-json-1.1"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
