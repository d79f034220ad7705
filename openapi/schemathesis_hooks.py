"""What schemathesis does not send: nulls where a member may be absent.

The document says that they are not sent, so that generated clients have no null unions; the service takes them as
absent, since some clients send them all the same. To schemathesis that is a violation which must be refused.
"""

import schemathesis

# Members that hold any JSON, where null is a value like others.
ANY = {"payload", "metadata", "state", "value", "values", "initial_state", "initial_metadata", "definition"}


def sends_null(value):
    if isinstance(value, dict):
        return any(member is None or sends_null(member) for name, member in value.items() if name not in ANY)
    return isinstance(value, list) and any(item is None or sends_null(item) for item in value)


@schemathesis.hook
def filter_case(context, case):
    return not sends_null(case.body)
