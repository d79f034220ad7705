// What every client can do, with the one of openapi-generator: `scenario <url> <log>`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"example.com/everlog"
)

var ids = map[string]string{
	"order-placed": "0197c3a0-0000-7000-8000-000000000001",
	"order-paid":   "0197c3a0-0000-7000-8000-000000000002",
	"order-lost":   "0197c3a0-0000-7000-8000-000000000003",
}

func check(holds bool, found ...any) {
	if !holds {
		panic(fmt.Sprint(found...))
	}
}

// must is for what is not to fail.
func must[T any](answer T, _ any, err error) T {
	check(err == nil, err)
	return answer
}

func done(step string) { fmt.Println("ok", step) }

func event(name string, total int) everlog.EventInput {
	event := everlog.NewEventInput(name)
	event.SetPayload(map[string]any{"total": total})
	return *event
}

func main() {
	url, log := os.Args[1], os.Args[2]
	configuration := everlog.NewConfiguration()
	configuration.Servers = everlog.ServerConfigurations{{URL: url}}
	client, ctx := everlog.NewAPIClient(configuration), context.Background()
	publish := func(name string, total int) everlog.ApiPublishToStreamRequest {
		event := event(name, total)
		event.SetId(ids[name])
		body := *everlog.NewPublishToStream([]everlog.EventInput{event})
		return client.PublishAPI.PublishToStream(ctx, log, "orders", "o-1").PublishToStream(body)
	}

	must(client.LogsAPI.PutLog(ctx, log).LogInput(*everlog.NewLogInput()).Execute())
	placed := must(publish("order-placed", 5).IfNoneMatch("*").Execute())
	old := fmt.Sprintf("%q", fmt.Sprint(placed.Position))
	paid := must(publish("order-paid", 5).IfMatch(old).Execute())
	check(placed.Position == 0 && paid.Position == 1 && !paid.Replayed, *paid)
	done("publish")

	_, _, err := publish("order-lost", 7).IfMatch(old).Execute()
	var refused *everlog.GenericOpenAPIError
	check(errors.As(err, &refused), err)
	lost, typed := refused.Model().(everlog.Problem)
	check(typed && lost.Code == "write-condition-failed" && lost.Status == 412, refused.Model())
	check(lost.GetActualPosition() == paid.Position, lost.GetActualPosition())
	done("race")

	again := must(publish("order-placed", 5).IfNoneMatch("*").Execute())
	check(again.Replayed && again.Events[0].SequenceNumber == placed.Events[0].SequenceNumber, *again)
	done("replay")

	var writes []everlog.CategoryWrite
	for n := 2; n < 6; n++ {
		events := []everlog.EventInput{event("order-placed", n)}
		writes = append(writes, *everlog.NewCategoryWrite(events, fmt.Sprintf("o-%d", n)))
	}
	body := *everlog.NewPublishToCategory(writes)
	written := must(client.PublishAPI.PublishToCategory(ctx, log, "orders").PublishToCategory(body).Execute())
	var seen []int64
	for after, atEnd := "0", false; !atEnd; {
		page := must(client.ReadAPI.ReadCategory(ctx, log, "orders").After(after).Limit(4).Execute())
		for _, event := range page.Events {
			check(len(seen) == 0 || seen[len(seen)-1] < event.SequenceNumber, seen)
			seen = append(seen, event.SequenceNumber)
		}
		after, atEnd = *page.Page.After.Get(), page.Page.AtEnd
	}
	check(len(seen) == 6 && seen[5] == written.SequenceNumber, seen)
	done("page")

	source := everlog.NewProjectorSource()
	source.SetCategory("orders")
	handlers := map[string]string{"order-placed": "(state, { payload }) => ({ total: state.total + payload.total })"}
	definition := everlog.NewProjectorInput(handlers, *source)
	definition.SetInitialState(map[string]any{"total": 0})
	projector := must(client.ProjectorsAPI.PutProjector(ctx, log, "totals").ProjectorInput(*definition).Execute())
	check(projector.Projector == "totals", *projector)
	done("project")

	atLeast, filter := everlog.NewOperand("/state/total"), everlog.NewFilter()
	atLeast.SetValue(4)
	filter.SetGe(*atLeast)
	sort := everlog.NewSort()
	sort.SetPath("/state/total")
	sort.SetOrder("desc")
	query := everlog.NewQuery()
	query.SetFilter(*filter)
	query.SetSort([]everlog.Sort{*sort})
	search := client.QueriesAPI.SearchProjection(ctx, log, "totals").Query(*query)
	found := must(search.MinSequenceNumber(written.SequenceNumber).Wait(30).Execute()).Entries
	check(len(found) == 3 && found[2].Id == "o-4", found)
	check(found[0].State.(map[string]any)["total"] == 5.0, found[0].State)
	done("search")
}
