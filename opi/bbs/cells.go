package bbs

import (
	"context"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// Cells lists the cells, for operators' tools.
type Cells interface {
	Cells(ctx context.Context) ([]opi.Cell, error)
}

func registerCells(f *front, cells Cells) {
	read(f, "/v1/cells/list.r1", "list the cells", func(ctx context.Context, _ *nothing, out *answer) error {
		if cells == nil {
			return nil
		}
		all, err := cells.Cells(ctx)
		if err != nil {
			return err
		}
		response := &models.CellsResponse{}
		for _, cell := range all {
			response.Cells = append(response.Cells, wireCell(cell))
		}
		return out.message(response)
	})
}

func wireCell(cell opi.Cell) *models.CellPresence {
	provider := &models.Provider{Name: models.PreloadedRootFSScheme, Properties: cell.Stacks}
	return &models.CellPresence{
		CellId: cell.ID, Zone: cell.Zone, PlacementTags: cell.PlacementTags, RootfsProviders: []*models.Provider{provider, {Name: "docker"}},
		Capacity: &models.CellCapacity{MemoryMb: int32(cell.MemoryMiB), DiskMb: int32(cell.DiskMiB), Containers: int32(cell.Containers)},
	}
}
