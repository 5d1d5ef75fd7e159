//go:build controlplane

package controlplane_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// routeProof is a row of the table of routes in docs/architecture.md: what a route answers to
// requests of Cloud Controller's own code.
type routeProof struct {
	route string
	// examples are the numbers of the requests; none for an empty body.
	examples []string
	// answer describes what must reports about each answer.
	answer string
	must   func(g Gomega, content []byte)
}

// row returns the line of the table.
func (p routeProof) row() string {
	examples := "empty body"
	if len(p.examples) > 0 {
		examples = strings.Join(p.examples, ", ")
	}
	return fmt.Sprintf("| `%s` | %s | %s |", p.route, examples, p.answer)
}

// bbsExample returns the body of the example of a number.
func bbsExample(number string) []byte {
	GinkgoHelper()
	files, err := fixtures.BBS.ReadDir("bbs")
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		if strings.HasPrefix(file.Name(), "bbs-"+number+"-") {
			content, err := fixtures.BBS.ReadFile("bbs/" + file.Name())
			Expect(err).NotTo(HaveOccurred())
			return content
		}
	}
	Fail("there is no example " + number)
	return nil
}

// Guids and the stack in the examples.
const (
	exampleStack    = "cflinuxfs4"
	exampleApp      = "1f1b1a52-8a0c-4f0e-9d41-5b6a0c2c0a01"
	exampleWorker   = "2e2b1a52-8a0c-4f0e-9d41-5b6a0c2c0a15"
	exampleTaskGUID = "a7000000-0000-4000-8000-000000000020"
	exampleBuild    = "e1000000-0000-4000-8000-000000000018"
)

// Answers to writes.
var (
	isEmpty = func(g Gomega, content []byte) { g.Expect(content).To(BeEmpty()) }
	isSame  = func(number string) func(Gomega, []byte) {
		return func(g Gomega, content []byte) { g.Expect(content).To(Equal(bbsExample(number))) }
	}
	isError = func(kind models.Error_Type) func(Gomega, []byte) {
		return func(g Gomega, content []byte) {
			// All responses have the error in field 1.
			var answer models.TaskLifecycleResponse
			g.Expect(proto.Unmarshal(content, &answer)).To(Succeed())
			g.Expect(answer.Error.GetType()).To(Equal(kind), answer.Error.GetMessage())
			g.Expect(answer.Error.GetMessage()).NotTo(BeEmpty())
		}
	}
)

// is decodes an answer and looks at it.
func is[M any, R interface {
	*M
	proto.Message
}](look func(g Gomega, answer R)) func(Gomega, []byte) {
	return func(g Gomega, content []byte) {
		answer := R(new(M))
		g.Expect(proto.Unmarshal(content, answer)).To(Succeed())
		look(g, answer)
	}
}

// whenGone is the answer to requests for an LRP that is not there.
const whenGone = "`ResourceNotFound` (example 44) when it is gone"

// lrpProofs are the rows about LRPs, in an order in which they can be sent.
func lrpProofs(processGUID string) []routeProof {
	hasLRP := func(ssh bool) func(Gomega, []byte) {
		return is(func(g Gomega, answer *models.DesiredLRPResponse) {
			g.Expect(answer.Error).To(BeNil())
			g.Expect(answer.DesiredLrp.ProcessGuid).To(Equal(processGUID))
			_, found := (*answer.DesiredLrp.Routes)["diego-ssh"]
			g.Expect(found).To(Equal(ssh))
		})
	}
	hasLRPs := is(func(g Gomega, answer *models.DesiredLRPsResponse) {
		g.Expect(answer.DesiredLrps).To(ContainElement(HaveField("ProcessGuid", processGUID)))
		g.Expect(answer.DesiredLrps).To(HaveEach(HaveField("Domain", "cf-apps")))
	})
	return []routeProof{
		{"/v1/ping", nil, "example 51", isSame("51")},
		{"/v1/domains/upsert", []string{"18"}, "empty message (example 48)", isEmpty},
		{"/v1/domains/list", nil, "the domains", is(func(g Gomega, answer *models.DomainsResponse) {
			g.Expect(answer.Domains).To(Equal([]string{"cf-apps"}))
		})},
		{"/v1/cells/list.r1", nil, "the nodes", is(func(g Gomega, answer *models.CellsResponse) { g.Expect(answer.Cells).NotTo(BeEmpty()) })},
		{"/v1/desired_lrp/desire.r2", []string{"01", "05", "06", "07"}, "`InvalidRequest`: volumes, CNB", isError(models.Error_InvalidRequest)},
		{"/v1/desired_lrp/desire.r2", []string{"04"}, "empty message (example 48)", isEmpty},
		{"/v1/desired_lrps/get_by_process_guid.r2", []string{"14"}, "the LRP", hasLRP(false)},
		{"/v1/desired_lrps/get_by_process_guid.r3", []string{"14"}, "the LRP with the key for SSH", hasLRP(true)},
		{"/v1/desired_lrps/list.r2", []string{"15"}, "the LRPs of the domain", hasLRPs},
		{"/v1/desired_lrps/list.r3", []string{"15"}, "the LRPs of the domain", hasLRPs},
		{"/v1/desired_lrp_scheduling_infos/list", []string{"15"}, "the LRPs of the domain", is(func(g Gomega, answer *models.DesiredLRPSchedulingInfosResponse) {
			g.Expect(answer.DesiredLrpSchedulingInfos).To(ContainElement(HaveField("DesiredLRPKey.ProcessGuid", processGUID)))
		})},
		{"/v1/desired_lrp/update", []string{"10"}, "empty message (example 48)", isEmpty},
		{"/v1/actual_lrps/list", []string{"16"}, "the five instances", is(func(g Gomega, answer *models.ActualLRPsResponse) {
			g.Expect(answer.ActualLrps).To(HaveLen(5))
			g.Expect(answer.ActualLrps).To(HaveEach(HaveField("ActualLRPKey.ProcessGuid", processGUID)))
			g.Expect(answer.ActualLrps).To(HaveEach(HaveField("State", "RUNNING")))
		})},
		{"/v1/actual_lrps/list_by_process_guids", []string{"17"}, "the five instances", is(func(g Gomega, answer *models.ActualLRPsByProcessGuidsResponse) {
			g.Expect(answer.ActualLrps).To(HaveLen(5))
		})},
		{"/v1/actual_lrps/retire", []string{"12", "13"}, "empty message (example 48)", isEmpty},
		{"/v1/desired_lrp/remove", []string{"11"}, "empty message (example 48)", isEmpty},
		{"/v1/desired_lrp/remove", []string{"11"}, whenGone, isSame("44")},
		{"/v1/desired_lrp/update", []string{"10"}, whenGone, isSame("44")},
		{"/v1/actual_lrps/retire", []string{"12"}, whenGone, isSame("44")},
		{"/v1/desired_lrps/get_by_process_guid.r2", []string{"14"}, whenGone, isSame("44")},
		{"/v1/actual_lrps/list", []string{"16"}, "empty message when it is gone", isEmpty},
	}
}

// taskProofs are the rows about tasks.
func taskProofs(guid string) []routeProof {
	hasTask := is(func(g Gomega, answer *models.TaskResponse) { g.Expect(answer.Task.GetTaskGuid()).To(Equal(guid)) })
	hasTasks := is(func(g Gomega, answer *models.TasksResponse) {
		g.Expect(answer.Tasks).To(ConsistOf(HaveField("TaskGuid", guid)))
	})
	return []routeProof{
		{"/v1/tasks/desire.r2", []string{"30", "33"}, "`InvalidRequest`: volumes, CNB", isError(models.Error_InvalidRequest)},
		{"/v1/tasks/desire.r2", []string{"32"}, "empty message (example 48)", isEmpty},
		{"/v1/tasks/desire.r2", []string{"32"}, "`ResourceExists` for another request of the same guid", isError(models.Error_ResourceExists)},
		{"/v1/tasks/get_by_task_guid.r2", []string{"36"}, "the task", hasTask},
		{"/v1/tasks/get_by_task_guid.r3", []string{"36"}, "the task", hasTask},
		{"/v1/tasks/list.r2", []string{"35"}, "the tasks of the domain", hasTasks},
		{"/v1/tasks/list.r3", []string{"35"}, "the tasks of the domain", hasTasks},
		{"/v1/tasks/cancel", []string{"34"}, "empty message (example 48)", isEmpty},
	}
}

// unknownTaskProofs are those about a task that never was.
func unknownTaskProofs() []routeProof {
	return []routeProof{
		{"/v1/tasks/get_by_task_guid.r2", []string{"36"}, "`ResourceNotFound` (example 50) for an unknown one", isSame("50")},
		{"/v1/tasks/cancel", []string{"34"}, "`ResourceNotFound` for an unknown one", isError(models.Error_ResourceNotFound)},
	}
}

// stackProofs are the rows about buildpack apps and builds, which need a stack.
func stackProofs() []routeProof {
	return []routeProof{
		{"/v1/desired_lrp/desire.r2", []string{"02", "03"}, "empty message (example 48); the instances wait for the droplet", isEmpty},
		{"/v1/tasks/desire.r2", []string{"20", "21", "22"}, "empty message (example 48)", isEmpty},
		{"/v1/tasks/desire.r2", []string{"31"}, "empty message (example 48); the task waits for the droplet", isEmpty},
		{"/v1/tasks/desire.r2", []string{"23"}, "`InvalidRequest`: CNB", isError(models.Error_InvalidRequest)},
	}
}

var _ = Describe("The routes of the BBS door", func() {
	// prove posts the examples as they are, but for guids, and looks at the answers.
	prove := func(ctx context.Context, cc diego, proofs []routeProof, change func(number string, body []byte) []byte) {
		GinkgoHelper()
		table, err := os.ReadFile("../../../../docs/architecture.md")
		Expect(err).NotTo(HaveOccurred())
		for _, proof := range proofs {
			Expect(string(table)).To(ContainSubstring(proof.row()), "docs/architecture.md has the table of routes")
			if len(proof.examples) == 0 {
				proof.must(NewWithT(GinkgoT()), cc.post(ctx, cloudcontroller.NewGUID(), proof.route, nil))
			}
			for _, number := range proof.examples {
				By(proof.route + " answers example " + number)
				proof.must(NewWithT(GinkgoT()), cc.post(ctx, cloudcontroller.NewGUID(), proof.route, change(number, bbsExample(number))))
			}
		}
	}

	It("answer the examples about apps and tasks", func(ctx context.Context) {
		place := newBBSPlatform(ctx)
		DeferCleanup(place.ClearJobs)
		cc := diego{place.Start(ctx).BBSURL}
		app, task := cloudcontroller.NewGUID(), cloudcontroller.NewGUID()
		processGUID := app + "-7c3a2f6e-51a4-4a5d-8a53-0b6f8d9e1c02"
		change := func(number string, body []byte) []byte {
			guid := app
			if number < "04" || number > "04" && number < "10" {
				guid = cloudcontroller.NewGUID() // an app of its own
			}
			if number == "32" {
				// No registry answers here, which could look the user up.
				body = bytes.ReplaceAll(body, []byte("nginx"), []byte("12345"))
			}
			return bytes.ReplaceAll(bytes.ReplaceAll(body, []byte(exampleApp), []byte(guid)), []byte(exampleTaskGUID), []byte(task))
		}
		for _, proof := range lrpProofs(processGUID) {
			prove(ctx, cc, []routeProof{proof}, change)
			if proof.route == "/v1/desired_lrp/update" && proof.answer != whenGone {
				// Users restart instances that run.
				Eventually(cc.states(ctx, processGUID)).Should(HaveEach("RUNNING"))
			}
		}
		prove(ctx, cc, taskProofs(task), change)
		task = cloudcontroller.NewGUID()
		prove(ctx, cc, unknownTaskProofs(), change)
	}, patience)

	It("answer the examples about buildpack apps and staging", func(ctx context.Context) {
		s := newStaging(ctx, map[string]any{"bbs": bbsDoor(), "stacks": map[string]any{"names": []string{exampleStack}}})
		s.importStackAs(ctx, exampleStack)
		prove(ctx, diego{s.irene.BBSURL}, stackProofs(), func(_ string, body []byte) []byte {
			for _, guid := range []string{exampleApp, exampleWorker, exampleBuild, exampleTaskGUID} {
				body = bytes.ReplaceAll(body, []byte(guid), []byte(cloudcontroller.NewGUID()))
			}
			return body
		})
	}, patience)
})
