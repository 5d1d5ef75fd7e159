// Package rules_test reads Irene's alerts with Prometheus' own parser. It is a module of
// its own, so that Prometheus stays out of Irene's.
package rules_test

import (
	"os"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v2"
)

func TestPrometheusReadsTheAlerts(t *testing.T) {
	content, err := os.ReadFile("../../deploy/helm/irene/rules/irene.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr         string
				For                 string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(content, &file); err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			expression, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
			switch {
			case err != nil:
				t.Errorf("%s: %v", rule.Alert, err)
			case expression.Type() != parser.ValueTypeVector:
				t.Errorf("%s: is a %s, not a vector", rule.Alert, expression.Type())
			}
			if _, err := model.ParseDuration(rule.For); err != nil {
				t.Errorf("%s: for: %v", rule.Alert, err)
			}
			read++
		}
	}
	if read == 0 {
		t.Error("there are no alerts")
	}
}
