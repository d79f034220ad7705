import everlog.ApiClient;
import everlog.ApiException;
import everlog.api.LogsApi;
import everlog.api.ProjectorsApi;
import everlog.api.PublishApi;
import everlog.api.PublishApi.APIPublishToCategoryRequest;
import everlog.api.PublishApi.APIPublishToStreamRequest;
import everlog.api.QueriesApi;
import everlog.api.QueriesApi.APISearchProjectionRequest;
import everlog.api.ReadApi;
import everlog.api.ReadApi.APIReadCategoryRequest;
import everlog.model.*;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** What every client can do, with the one of openapi-generator: `Scenario <url> <log>`. */
class Scenario {
    static final Map<String, String> IDS = Map.of(
        "order-placed", "0197c3a0-0000-7000-8000-000000000001",
        "order-paid", "0197c3a0-0000-7000-8000-000000000002",
        "order-lost", "0197c3a0-0000-7000-8000-000000000003");
    static final ApiClient CLIENT = new ApiClient();
    static String log;

    static void check(boolean holds, Object found) {
        if (!holds) throw new AssertionError(found);
    }

    static void done(String step) {
        System.out.println("ok " + step);
    }

    static EventInput event(String name, int total) {
        return new EventInput().name(name).payload(Map.of("total", total));
    }

    static PublishAck publish(String name, int total, String ifMatch, String ifNoneMatch) throws ApiException {
        var body = new PublishToStream().events(List.of(event(name, total).id(IDS.get(name))));
        return new PublishApi(CLIENT).publishToStream(APIPublishToStreamRequest.newBuilder()
            .log(log).category("orders").stream("o-1").publishToStream(body)
            .ifMatch(ifMatch).ifNoneMatch(ifNoneMatch).build());
    }

    public static void main(String[] arguments) throws Exception {
        CLIENT.updateBaseUri(arguments[0]);
        log = arguments[1];
        new LogsApi(CLIENT).putLog(LogsApi.APIPutLogRequest.newBuilder().log(log).logInput(new LogInput()).build());
        var placed = publish("order-placed", 5, null, "*");
        var old = "\"" + placed.getPosition() + "\"";
        var paid = publish("order-paid", 5, old, null);
        check(placed.getPosition() == 0 && paid.getPosition() == 1 && !paid.getReplayed(), paid);
        done("publish");

        try {
            throw new AssertionError(publish("order-lost", 7, old, null));
        } catch (ApiException refused) {
            var lost = CLIENT.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
            check(refused.getCode() == 412 && lost.getCode().equals("write-condition-failed"), lost);
            check(lost.getStatus() == 412 && lost.getActualPosition().equals(paid.getPosition()), lost);
        }
        done("race");

        var again = publish("order-placed", 5, null, "*");
        var first = placed.getEvents().get(0).getSequenceNumber();
        check(again.getReplayed() && again.getEvents().get(0).getSequenceNumber().equals(first), again);
        done("replay");

        var writes = new ArrayList<CategoryWrite>();
        for (int n = 2; n < 6; n++)
            writes.add(new CategoryWrite().stream("o-" + n).events(List.of(event("order-placed", n))));
        var written = new PublishApi(CLIENT).publishToCategory(APIPublishToCategoryRequest.newBuilder()
            .log(log).category("orders").publishToCategory(new PublishToCategory().writes(writes)).build());
        var seen = new ArrayList<Long>();
        var after = "0";
        for (var atEnd = false; !atEnd;) {
            var page = new ReadApi(CLIENT).readCategory(
                APIReadCategoryRequest.newBuilder().log(log).category("orders").after(after).limit(4L).build());
            page.getEvents().forEach(event -> seen.add(event.getSequenceNumber()));
            after = page.getPage().getAfter();
            atEnd = page.getPage().getAtEnd();
        }
        check(seen.size() == 6 && seen.equals(new ArrayList<>(new TreeSet<>(seen))), seen);
        check(seen.get(5).equals(written.getSequenceNumber()), seen);
        done("page");

        var definition = new ProjectorInput().source(new ProjectorSource().category("orders"))
            .handlers(Map.of("order-placed", "(state, { payload }) => ({ total: state.total + payload.total })"))
            .initialState(Map.of("total", 0));
        var projector = new ProjectorsApi(CLIENT).putProjector(ProjectorsApi.APIPutProjectorRequest.newBuilder()
            .log(log).projector("totals").projectorInput(definition).build());
        check(projector.getProjector().equals("totals"), projector);
        done("project");

        var query = new Query().filter(new Filter().ge(new Operand().path("/state/total").value(4)))
            .sort(List.of(new Sort().path("/state/total").order("desc")));
        var found = new QueriesApi(CLIENT).searchProjection(APISearchProjectionRequest.newBuilder()
            .log(log).projection("totals").query(query)
            .minSequenceNumber(written.getSequenceNumber()).waitSeconds(30L).build()).getEntries();
        check(found.size() == 3 && found.get(2).getId().equals("o-4"), found);
        check(((Map<?, ?>) found.get(0).getState()).get("total").equals(5), found);
        done("search");
    }
}
