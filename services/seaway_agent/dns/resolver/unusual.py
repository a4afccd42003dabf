"""Messages that ``wire`` doesn't read, by dnspython. Imported with the first of them: dnspython takes 8 MB."""

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass

from seaway_agent.dns.resolver import wire


def read(message: bytes) -> tuple[bytes | None, bytes | None]:
    """(the query in common form, the response at once): one of both, or none for what deserves no response."""
    if len(message) < wire.HEADER_SIZE or wire.is_response(message):
        return None, None
    if wire.opcode(message) != dns.opcode.QUERY:
        return None, wire.bare_failure(message, wire.NOTIMP)
    try:
        query = dns.message.from_wire(message)
    except dns.message.UnknownTSIGKey:
        return None, wire.bare_failure(message, wire.REFUSED)
    except (dns.exception.DNSException, ValueError):  # the latter: a field's value that dnspython doesn't expect
        return None, wire.bare_failure(message, wire.FORMERR)
    return _understood(query, message)


def _understood(query: dns.message.Message, message: bytes) -> tuple[bytes | None, bytes | None]:
    if len(query.question) != 1:
        return None, wire.bare_failure(message, wire.FORMERR)
    if query.edns > 0:
        response = dns.message.make_response(query)
        response.use_edns(0)
        response.set_rcode(dns.rcode.BADVERS)
        return None, response.to_wire()
    asked = query.question[0]
    if asked.rdclass != dns.rdataclass.IN:
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(dns.rcode.REFUSED)
        return None, response.to_wire()
    return _in_common_form(query), None


def _in_common_form(query: dns.message.Message) -> bytes:
    """The query without what is neither question nor EDNS."""
    asked = query.question[0]
    plain = dns.message.QueryMessage(id=query.id)
    plain.flags = query.flags & ~dns.flags.TC
    plain.find_rrset(plain.question, asked.name, asked.rdclass, asked.rdtype, create=True, force_unique=True)
    if query.edns == 0:
        plain.use_edns(0, query.ednsflags & 0xFFFF, query.payload, options=list(query.options))
    return plain.to_wire()
