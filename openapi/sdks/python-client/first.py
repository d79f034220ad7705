from everlog import Client
from everlog.api.publish import publish_to_stream
from everlog.api.read import read_stream
from everlog.models import NewEvent, PublishToStream

client = Client("http://127.0.0.1:4100")
event = NewEvent(name="profile-created", payload={"name": "Joe"})
publish_to_stream.sync("default", "profiles", "joe", client=client, body=PublishToStream([event]))
page = read_stream.sync("default", "profiles", "joe", client=client)
for event in page.events:
    print(event.position, event.name, event.payload)
