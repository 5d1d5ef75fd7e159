package bbs

import (
	"maps"
	"slices"
	"strconv"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// leaveOutEmptyTags removes metric tags without a value from a request, and returns their
// names. Diego refuses a whole app for such a tag, which Cloud Controller makes of a label
// without a value.
func leaveOutEmptyTags(message any) (names []string) {
	var tags map[string]*models.MetricTagValue
	switch request := message.(type) {
	case *models.DesireLRPRequest:
		tags = request.GetDesiredLrp().GetMetricTags()
	case *models.UpdateDesiredLRPRequest:
		tags = request.GetUpdate().GetMetricTags()
	case *models.DesireTaskRequest:
		tags = request.GetTaskDefinition().GetMetricTags()
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if tag := tags[name]; tag == nil || *tag == (models.MetricTagValue{}) {
			delete(tags, name)
			names = append(names, name)
		}
	}
	return names
}

// dynamicTags are the properties of instances by their numbers on the wire.
var dynamicTags = map[models.MetricTagValue_DynamicValue]opi.DynamicTag{
	models.MetricTagDynamicValueIndex:        opi.TagIndex,
	models.MetricTagDynamicValueInstanceGuid: opi.TagInstanceGUID,
}

// metricTags converts the tags of a request that passed Diego's rules.
func metricTags(wire map[string]*models.MetricTagValue) map[string]opi.MetricTag {
	tags := make(map[string]opi.MetricTag, len(wire))
	for name, value := range wire {
		tags[name] = opi.MetricTag{Text: value.GetStatic(), Dynamic: dynamicTags[value.GetDynamic()]}
	}
	return tags
}

// wireMetricTags is the reverse of metricTags.
func wireMetricTags(tags map[string]opi.MetricTag) map[string]*models.MetricTagValue {
	wire := make(map[string]*models.MetricTagValue, len(tags))
	for name, tag := range tags {
		wire[name] = &models.MetricTagValue{Static: tag.Text}
		for number, property := range dynamicTags {
			if property == tag.Dynamic {
				wire[name] = &models.MetricTagValue{Dynamic: number}
			}
		}
	}
	return wire
}

// instanceTags returns the values of the tags for one instance.
func instanceTags(tags map[string]opi.MetricTag, instance opi.Instance) map[string]string {
	values := make(map[string]string, len(tags))
	for name, tag := range tags {
		switch tag.Dynamic {
		case opi.TagIndex:
			values[name] = strconv.Itoa(instance.Index)
		case opi.TagInstanceGUID:
			values[name] = instance.GUID
		default:
			values[name] = tag.Text
		}
	}
	return values
}
