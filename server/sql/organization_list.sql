select {organization} from reachable_organizations(:caller) o order by o.created_at, o.id
