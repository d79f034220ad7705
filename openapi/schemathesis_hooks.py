"""What schemathesis does not send: nulls where a member may be absent.

The document says that they are not sent, so that generated clients have no null unions; the service takes them as
absent, since some clients send them all the same. To schemathesis that is a violation which must be refused.
"""

import schemathesis

# Members that hold any JSON, where null is a value like others.
ANY = {"payload", "metadata", "state", "value", "values", "initial_state", "initial_metadata", "definition"}


def without_nulls(value):
    if isinstance(value, dict):
        kept = {name: member for name, member in value.items() if name in ANY or member is not None}
        return {name: member if name in ANY else without_nulls(member) for name, member in kept.items()}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@schemathesis.hook
def before_call(context, case, **kwargs):
    # What was edited here is judged anew.
    body = without_nulls(case.body)
    if body != case.body:
        case.body = body
