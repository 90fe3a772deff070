select {project} from {visible_projects} p where p.id = :project_id
