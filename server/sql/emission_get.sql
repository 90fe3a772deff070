select {emission} from {visible_emissions} m where m.id = :emission_id limit 1
